"""Transductive refinements: all queries of a task are answered together and help each other."""
