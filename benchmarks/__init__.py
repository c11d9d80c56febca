"""Benchmarks: commands that print a table of ratios between runs that are side by side in one process or take turns."""
