"""Stage 8: a user's own task, from a support folder to predictions. Next: `kshot.cli`."""
