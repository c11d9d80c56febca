"""Stage 3: tasks, drawn as item numbers and gathered into tensors. Next: `kshot.learners`."""
