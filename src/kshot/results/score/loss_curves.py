"""A learned optimiser against hand-made ones: the loss over the steps, on functions that it has not seen.

The rate of each hand-made optimiser is the one of `hand_made.RATES` with the lowest mean final loss on functions of the training part, for
each kind and number of steps anew. The learned one has no rate. All minimise the same test functions with the same batches. In: a learned
optimiser and kinds of objectives. Out: `LossCurves`. Next: `plot_curves`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kshot.errors import RecipeError
from kshot.learners.inner_loop.update_rule import UpdateRule
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.meta_train.objectives.objective import ObjectiveKind
from kshot.meta_train.trajectory import trajectories
from kshot.results.score.hand_made import HAND_MADE, RATES
from kshot.results.score.interval import mean_and_interval

LEARNED = "learned"
POINTS = 20
"""Losses on all data are computed this many times, evenly spaced over the steps."""
_TUNED_ON = 2
"""Rates are tuned on this many times the functions of one seed."""


@dataclass(frozen=True)
class Curve:
    """How one optimiser did on one kind of function.

    Attributes:
        rate: The rate chosen; None for the learned optimiser.
        losses: Mean loss over the functions of a seed, (seeds, 1 + points): before the first step, then evenly spaced to the last.
    """

    rate: float | None
    losses: np.ndarray = field(repr=False)

    @property
    def final(self) -> tuple[float, float]:
        """Mean over the seeds of the last loss, with half the width of its 95 % interval."""
        return _mean(self.losses[:, -1])

    @property
    def mean(self) -> tuple[float, float]:
        """Mean over the seeds of the mean loss after the steps, with its interval."""
        return _mean(self.losses[:, 1:].mean(1))


@dataclass(frozen=True)
class LossCurves:
    """The curves of all optimisers.

    Attributes:
        horizon: Steps for which the learned optimiser was trained.
        steps: Steps taken here.
        seeds: The seeds of the functions.
        kinds: What the functions of each kind are, in words.
        functions: Functions per seed, by kind.
        curves: Kind → optimiser → curve. The learned one is first.
    """

    horizon: int
    steps: int
    seeds: tuple[int, ...]
    kinds: Mapping[str, str]
    functions: Mapping[str, int]
    curves: Mapping[str, Mapping[str, Curve]]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; a loss that is not finite is None."""
        kinds = {}
        for kind, curves in self.curves.items():
            rows = {
                name: {
                    "rate": curve.rate,
                    "final_loss": _plain(curve.final[0]),
                    "final_interval": _plain(curve.final[1]),
                    "mean_loss": _plain(curve.mean[0]),
                    "mean_interval": _plain(curve.mean[1]),
                    "curve": [_plain(value) for value in curve.losses.mean(0).tolist()],
                }
                for name, curve in curves.items()
            }
            kinds[kind] = {"functions": self.kinds[kind], "per_seed": self.functions[kind], "optimizers": rows}
        return {"horizon": self.horizon, "steps": self.steps, "seeds": list(self.seeds), "kinds": kinds}

    def table(self) -> str:
        """Return the losses as text, one line per kind and optimiser."""
        lines = [f"{self.steps} steps (trained for {self.horizon}), {len(self.seeds)} seeds; loss on all data, ± 95 % interval"]
        for kind, curves in self.curves.items():
            lines += ["", f"{kind}: {self.functions[kind]} {self.kinds[kind]} per seed"]
            lines += [f"  {'':<10}{'rate':>8}  {'final loss':>22}  {'mean over the steps':>22}"]
            for name, curve in curves.items():
                rate = "" if curve.rate is None else f"{curve.rate:g}"
                lines += [f"  {name:<10}{rate:>8}  {_words(curve.final):>22}  {_words(curve.mean):>22}"]
        return "\n".join(lines)

    def sentence(self) -> str:
        """Say in one sentence where the learned optimiser reaches the lowest final loss."""
        won = [kind for kind, curves in self.curves.items() if all(curves[LEARNED].final[0] <= curve.final[0] for curve in curves.values())]
        if len(won) == len(self.curves):
            return "The learned optimiser reaches the lowest mean final loss on every kind."
        lost = [kind for kind in self.curves if kind not in won]
        best = {kind: min(self.curves[kind], key=lambda name: self.curves[kind][name].final[0]) for kind in lost}
        return (
            f"The learned optimiser reaches the lowest mean final loss on {len(won)} of {len(self.curves)} kinds; lower ones: "
            f"{', '.join(f'{name} on {kind}' for kind, name in best.items())}."
        )


def measure_curves(
    optimizer: LearnedOptimizer,
    kinds: Mapping[str, ObjectiveKind],
    *,
    steps: int | None = None,
    seeds: Sequence[int] = tuple(range(10)),
    progress: Callable[[int], None] | None = None,
) -> LossCurves:
    """Let the learned and the hand-made optimisers minimise the test functions of each kind.

    Args:
        optimizer: The learned optimiser. It plans over the steps taken here.
        kinds: Kinds of objectives by name.
        steps: How many; None: its horizon. A multiple of `POINTS`.
        seeds: Seeds of the test functions. The rates are tuned with seed 0.
        progress: Called with the number of trajectories done since the last call; there are `trajectories_of` in all.

    Raises:
        RecipeError: `steps` is not a multiple of `POINTS`.
    """
    horizon = int(optimizer.arguments["horizon"])
    steps = horizon if steps is None else steps
    if steps < 1 or steps % POINTS:
        raise RecipeError(f"the number of steps must be a multiple of {POINTS}, for example {horizon}; found {steps}.")
    report = progress or (lambda more: None)
    learned = optimizer.rule
    learned = replace(learned.with_learnt({name: value.detach() for name, value in learned.learnt.items()}), horizon=steps)
    curves: dict[str, dict[str, Curve]] = {}
    for name, kind in kinds.items():
        rules: dict[str, tuple[float | None, UpdateRule]] = {LEARNED: (None, learned)}
        for hand, make in HAND_MADE.items():
            rate = _tuned(make, kind, steps, report)
            rules[hand] = (rate, make(rate))
        curves[name] = {}
        for label, (chosen, rule) in rules.items():
            losses = []
            for seed in seeds:
                numbers = range(kind.tested)
                curve = trajectories(rule, kind, seed=seed, numbers=numbers, part="test", steps=steps, every=steps // POINTS)
                losses.append(curve.mean(1).numpy())
                report(1)
            curves[name][label] = Curve(chosen, np.stack(losses))
    words = {name: kind.what for name, kind in kinds.items()}
    functions = {name: kind.tested for name, kind in kinds.items()}
    return LossCurves(horizon, steps, tuple(seeds), words, functions, curves)


def trajectories_of(kinds: int, seeds: int) -> int:
    """How many trajectories `measure_curves` takes."""
    return kinds * (len(HAND_MADE) * len(RATES) + (1 + len(HAND_MADE)) * seeds)


def _tuned(make: Callable[[float], UpdateRule], kind: ObjectiveKind, steps: int, report: Callable[[int], None]) -> float:
    """The rate with the lowest mean final loss on functions of the training part."""
    finals = {}
    for rate in RATES:
        numbers = range(_TUNED_ON * kind.tested)
        finals[rate] = float(trajectories(make(rate), kind, seed=0, numbers=numbers, part="train", steps=steps, every=steps)[-1].mean())
        report(1)
    return min(finals, key=lambda rate: finals[rate])


def _mean(values: np.ndarray) -> tuple[float, float]:
    return mean_and_interval(values) if np.isfinite(values).all() else (float("inf"), float("inf"))


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _words(value: tuple[float, float]) -> str:
    return f"{value[0]:.4g} ± {value[1]:.2g}" if np.isfinite(value[0]) else "not finite"
