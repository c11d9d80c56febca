"""Learners trained on plain labelled items: the baselines of transfer learning."""
