"""Reptile's outer gradient: how far the inner steps went.

Nichol, Achiam, Schulman, "On First-Order Meta-Learning Algorithms", 2018, arXiv 1803.02999, Algorithm 1.

    ∂L/∂φ_0 := φ_0 - φ_n

No gradient goes through the steps, and no query is asked. The loss of a task is the mean of what its steps descended, each before its step.
"""

import torch

from kshot.learners.inner_loop.modes.outer_gradient import Kept, keeping
from kshot.learners.inner_loop.problem import Problem, TaskGradient, walk


@keeping(lambda steps: Kept(((1, 0),)), twice=False, learns=False)
def displacement(problem: Problem) -> TaskGradient:
    """φ_0 - φ_n, with the rule's state after the steps; buffers stay as they are."""
    reached, trail = walk(problem)
    path = trail.path(problem)  # (B, n)
    start = {name: value.detach() - reached.parameters[name] for name, value in problem.start.items()}
    shared, learnt = ({name: torch.zeros_like(value) for name, value in part.items()} for part in (problem.shared, problem.rule.learnt))
    return TaskGradient(path.mean(1), path, start, shared, learnt, {}, reached.state)
