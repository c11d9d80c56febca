"""Learned updates: update rules that are networks, meta-trained on many optimisations."""
