"""Stage 3: tasks, drawn as item numbers and then gathered into tensors. Next: `kshot.learners`."""
