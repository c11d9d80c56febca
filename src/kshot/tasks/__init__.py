"""Stage 8: a user's own task, from a support folder to predictions. Next: `kshot.fit_command`, `kshot.predict_command`."""
