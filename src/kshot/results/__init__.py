"""Stage 6: scores, intervals, tables and pictures. Next: `kshot.workflows`."""
