"""Compare iMAML's meta-gradient with the gradient through all inner steps, at the parameters of the shipped `omniglot-maml`.

    python -m benchmarks.implicit_gradient [--tasks 12]

The inner problem is iMAML's: 16 steps of gradient descent on the support loss and λ/2 ‖φ - θ‖², 5-way 1-shot on training characters of
Omniglot, one query per class, batch normalisation by the items at hand. Printed is the cosine between the gradient that conjugate gradient
(5 iterations) gives with a damping δ, and the exact one of these steps; `first order` leaves the curvature out. The query loss is beside
them.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import kshot
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.learners.inner_loop.adapted_network import BackboneAndHead
from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.implicit import implicit, proximal
from kshot.learners.inner_loop.modes.outer_gradient import Kept, OuterGradient, keeping
from kshot.learners.inner_loop.parameters import Tensors, divide_parameters
from kshot.learners.inner_loop.problem import Problem, TaskGradient, Trail, support_slope

STEPS, ITERATIONS = 16, 5
DAMPINGS = (0.0, 0.1, 0.3, 1.0, 24.0)
INNER = ((0.1, 0.1), (0.2, 0.5), (0.4, 0.5), (0.4, 0.25))
"""Inner rate and λ."""


def through_steps(regularisation: float) -> OuterGradient:
    """Return the exact gradient of the steps on the proximal problem, whose term pulls towards a start that is differentiated, too."""

    @keeping(lambda steps: Kept(((steps, 1),)), learns=False)
    def solve(problem: Problem) -> TaskGradient:
        def after_steps(start: Tensors, shared: Tensors) -> tuple[Tensor, Any]:
            held, place, trail = proximal(problem, regularisation, start), problem.begin(start), Trail()
            for number in range(problem.steps):
                slopes, loss, buffers = support_slope(held, place.parameters, shared, number, again=True)
                place = problem.step(place, slopes, loss, {}, number)
                trail.note(loss, buffers)
            loss, buffers = problem.query({**shared, **place.parameters}, problem.steps)
            return loss, (trail.path(problem), trail.buffers(problem, buffers))

        (start, shared), loss, (path, buffers) = gradient(after_steps, problem.start, problem.shared, again=False)
        return TaskGradient(loss, path, start, shared, {}, buffers)

    return solve


def near_start(regularisation: float) -> OuterGradient:
    """Return the first-order gradient of the proximal problem."""
    return replace(first_order, solve=lambda problem: first_order(proximal(problem, regularisation)))


def batches(tasks: int) -> Iterator[EpisodeBatch]:
    """Draw training tasks."""
    data = Omniglot(rotations="none")
    index = data.split("characters").part("train")
    shape = EpisodeShape(5, 1, 1, augment="quarter_turns")
    yield from EpisodeStream(data, index, "characters/train", shape, seed=1, tasks=tasks).batches(0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compare iMAML's meta-gradient with the exact one.")
    parser.add_argument("--tasks", type=int, default=12)
    (batch,) = batches(parser.parse_args().tasks)
    learner: Any = kshot.load("omniglot-maml")
    module = BackboneAndHead(learner.backbone, learner.head).train()
    parts = divide_parameters(module)

    def flat(rate: float, mode: OuterGradient) -> tuple[Tensor, float]:
        found = meta_gradient(module, parts, Classification(), batch, InnerLoop(STEPS, Descent(rate), mode))
        return torch.cat([value.reshape(-1) for value in found.start.values()]), float(found.loss.mean())

    print(f"cosine to the gradient through {STEPS} steps, {len(batch)} tasks")
    heads = "".join(f"δ = {damping:g}".rjust(10) for damping in DAMPINGS)
    print(f"  {'rate':>5}{'λ':>6}{'first order':>13}{heads}{'query loss':>13}")
    for rate, regularisation in INNER:
        exact, loss = flat(rate, through_steps(regularisation))
        modes = [near_start(regularisation), *(implicit(regularisation, ITERATIONS, damping) for damping in DAMPINGS)]
        first, *others = (float(torch.cosine_similarity(flat(rate, mode)[0], exact, dim=0)) for mode in modes)
        cosines = "".join(f"{other:>10.3f}" for other in others)
        print(f"  {rate:>5}{regularisation:>6}{first:>13.3f}{cosines}{loss:>13.3f}", flush=True)


if __name__ == "__main__":
    main()
