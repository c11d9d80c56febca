"""Differentiable gradient steps on a task: what learners by inner steps are made of."""
