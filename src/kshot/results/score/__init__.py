"""Scores: one per episode, their interval, the episodes and their hash."""
