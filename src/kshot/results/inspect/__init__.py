"""Inspecting tasks: confusion, difficulty, distance from the training classes."""
