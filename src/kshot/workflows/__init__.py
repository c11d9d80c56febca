"""Workflows: they put the stages together, one module per command or question."""
