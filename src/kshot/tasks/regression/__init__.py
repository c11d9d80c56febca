"""Regression for tables of numbers: a quantity is estimated from rows, with its error in the target's own units."""
