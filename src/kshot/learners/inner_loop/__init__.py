"""Differentiable gradient steps on a task: what gradient-based learners are made of."""
