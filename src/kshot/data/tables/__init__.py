"""Synthetic tables: classification tasks of plain numbers, drawn from a prior."""
