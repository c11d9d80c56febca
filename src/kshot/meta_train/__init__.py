"""Stage 5: the outer loop. Next: `kshot.results`."""
