"""Stage 7: a learner on disk. Next: `kshot.tasks`."""
