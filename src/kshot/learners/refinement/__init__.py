"""Transductive extras: the queries of a task help each other."""
