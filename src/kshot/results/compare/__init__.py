"""Comparing several learners on the same episodes: paired differences, costs and a sentence."""
