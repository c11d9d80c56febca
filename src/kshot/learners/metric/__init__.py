"""Metric learners: they compare a query with the support set."""
