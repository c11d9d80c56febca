"""Stage 2: items and classes. Next: `kshot.episodes`."""
