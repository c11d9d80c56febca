"""Benchmarks: commands that print a table of ratios, each of runs side by side in one process or taking turns."""
