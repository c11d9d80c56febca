"""The update rule made of a rate and a direction, which every hand-made inner optimiser is.

    φ_{t+1} = φ_t - α ⊙ d_t,     d_t from c g_t and what the direction remembers,     c = min(1, clip / ‖g_t‖), or 1 without clipping

α is one number, a number for each layer, or learnt: a number or a tensor for each parameter, the same for all steps or one for each. ‖g_t‖
is the norm of all of a task's gradients together. In: a name and settings from a recipe. Out: an `UpdateRule`. Next: `problem`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from kshot.construct import construct
from kshot.errors import RecipeError, did_you_mean
from kshot.learners.inner_loop.directions import DIRECTIONS, Direction, GradientDescent
from kshot.learners.inner_loop.parameters import Tensors, inner, times
from kshot.learners.settings import require_no_less_than_zero, require_positive
from kshot.learners.short_forms import short_form
from kshot.short_repr import short_repr

InnerOptimizer = str | Mapping[str, Any]
"""A direction as a recipe names it: `"adam"`, or with settings, `{name = "adam", beta1 = 0.0}`."""


@dataclass(frozen=True)
class Descent:
    """A rate and a direction.

    Attributes:
        rate: α of the parameters that have no other.
        direction: What the gradient is turned into; the gradient itself unless said otherwise.
        by_name: Fixed rates of some parameters, by the parameter's name.
        learnt: Learnt rates by the parameter's name: () or the parameter's shape. They come before fixed ones.
        per_step: Whether learnt rates have a first dimension that counts steps; steps beyond its length take the last.
        clip: Gradients of a task whose total norm is larger are scaled down to it; 0 clips nothing.
        cure: What to do where steps diverge, in words.
    """

    rate: float = 0.01
    direction: Direction = GradientDescent()  # noqa: RUF009  # frozen
    by_name: Mapping[str, float] = field(default_factory=dict)
    learnt: Tensors = field(default_factory=dict)
    per_step: bool = False
    clip: float = 0.0
    cure: str = "Lower inner_lr, take fewer steps, or clip inner gradients (clip=1)."

    def __repr__(self) -> str:
        return short_repr("Descent", (f"{part.name}={short_form(getattr(self, part.name))}" for part in fields(self)))

    def __post_init__(self) -> None:
        for name, rate in {"": self.rate, **self.by_name}.items():
            require_positive("the inner rate" + (f" of {name!r}" if name else ""), rate)
        require_no_less_than_zero("clip", self.clip, "no clipping")

    def init(self, parameters: Tensors) -> Tensors:
        """Zeros in the shape of every parameter, for each slot of the direction, named `slot/parameter`."""
        return {f"{slot}/{name}": torch.zeros_like(value) for slot in self.direction.decays for name, value in parameters.items()}

    def update(
        self, gradients: Tensors, state: Tensors, parameters: Tensors, step: int | Tensor, losses: Tensor | None = None
    ) -> tuple[Tensors, Tensors]:
        """φ_{t+1} and the slots after it; arguments as in `UpdateRule`. The step is a whole number where rates are learnt per step."""
        if self.clip:
            norm = inner(gradients, gradients).clamp_min(1e-30).sqrt()  # (B,)
            gradients = times((self.clip / norm).clamp_max(1.0), gradients)
        moved: Tensors = {}
        after: Tensors = {}
        for name, value in parameters.items():
            slots = {slot: state[f"{slot}/{name}"] for slot in self.direction.decays}
            direction, kept = self.direction.turn(gradients[name], slots, step)
            after |= {f"{slot}/{name}": tensor for slot, tensor in kept.items()}
            rate = self._rate(name, step)
            moved[name] = value - rate * direction if isinstance(rate, Tensor) else torch.sub(value, direction, alpha=rate)
        return moved, after

    def with_learnt(self, learnt: Tensors) -> "Descent":
        """The same with other learnt rates."""
        return replace(self, learnt=learnt)

    def words(self) -> str:
        """Such as `an inner rate of 0.4 (clipped at 1)`."""
        name = next((name for name, kind in DIRECTIONS.items() if type(self.direction) is kind), type(self.direction).__name__)
        rate = "learnt inner rates" if self.learnt else f"an inner rate of {self.rate:g}"
        rate = rate if name == "sgd" else f"{name} at {rate}"
        return rate + (f" (clipped at {self.clip:g})" if self.clip else "")

    def _rate(self, name: str, step: int | Tensor) -> Tensor | float:
        if name not in self.learnt:
            return self.by_name.get(name, self.rate)
        learnt = self.learnt[name]
        return learnt[min(int(step), len(learnt) - 1)] if self.per_step else learnt


def direction_named(optimizer: InnerOptimizer) -> Direction:
    """The direction that a recipe names.

    Args:
        optimizer: A name in `DIRECTIONS`, or a table of `name` and the settings of that direction.

    Raises:
        RecipeError: The name or a setting is unknown, or a setting makes no sense.
    """
    settings = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer) if isinstance(optimizer, Mapping) else {}
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise RecipeError(
            f"inner_optimizer is a name, one of {', '.join(DIRECTIONS)}, or a table such as {{name = 'adam', beta1 = 0.0}}; "
            f"found {optimizer!r}."
        )
    direction: Direction = construct("inner optimizer", name, DIRECTIONS, settings, {})
    return direction


def rates_by_pattern(patterns: Mapping[str, float] | None, names: Iterable[str]) -> dict[str, float]:
    """Fixed inner rates of parameters by patterns of their names; the order of the patterns does not matter.

    Args:
        patterns: Such as `{"*": 0.1, "head.*": 0.5}`, with `*`, `?` and `[…]` as in file names; None: no rates. A pattern whose names are
            some of those of another counts before it.
        names: The names of the parameters that adapt.

    Returns:
        Name → rate, of the parameters that a pattern matches.

    Raises:
        RecipeError: A pattern matches nothing, a rate is not a positive number, or two patterns give a name different rates and neither
            counts before the other.
    """
    names, patterns = list(names), {} if patterns is None else patterns
    if not isinstance(patterns, Mapping) or not all(isinstance(pattern, str) for pattern in patterns):
        raise RecipeError(f"layer_lr is a table of patterns and rates, such as {{'head.*' = 0.5}}; found {patterns!r}.")
    matches: dict[str, set[str]] = {}
    for pattern, rate in patterns.items():
        if isinstance(rate, Mapping):
            raise RecipeError(
                f"layer_lr needs quotes around a pattern with dots, such as 'head.*' = 0.5; found {pattern!r} = {dict(rate)}."
            )
        require_positive(f"the inner rate of {pattern!r}", rate)
        matches[pattern] = {name for name in names if fnmatchcase(name, pattern)}
        if not matches[pattern]:
            raise RecipeError(
                f"layer_lr names {pattern!r}, which matches no parameter that adapts.{did_you_mean(pattern, names)} "
                f"They are {', '.join(names)}."
            )
    rates: dict[str, float] = {}
    for name in names:
        naming = [pattern for pattern in matches if name in matches[pattern]]
        if not naming:
            continue
        first = min(naming, key=lambda pattern: len(matches[pattern]))
        for other in naming:
            if patterns[other] != patterns[first] and not matches[first] < matches[other]:
                raise RecipeError(
                    f"layer_lr gives {name!r} the rate {patterns[first]} by {first!r} and {patterns[other]} by {other!r}. Name it in full."
                )
        rates[name] = float(patterns[first])
    return rates
