"""Stage 5: the outer loop of meta-training. Next: `kshot.workflows`."""
