"""Scores: one score per episode, the interval, the episodes and their hash."""
