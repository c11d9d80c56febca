"""How a task is learned: the settings of an inner loop as one frozen value. Next: `assignment`."""

from dataclasses import dataclass
from typing import Literal, get_args

from kshot.errors import RecipeError
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.modes.outer_gradient import Kept, OuterGradient
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.network import Statistics
from kshot.learners.inner_loop.start import Start
from kshot.learners.inner_loop.update_rule import UpdateRule
from kshot.learners.settings import MOST_STEPS, require_count

Schedule = Literal["in_turn", "threads", "together"]
"""How the tasks of a batch are run; see `schedule`."""

SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


@dataclass(frozen=True)
class InnerLoop:
    """How a task is learned.

    Attributes:
        steps: Inner steps, ≥ 0.
        rule: The update rule.
        mode: The outer gradient: `unrolled`, `flat`, `first_order`, or `implicit(λ, iterations, damping)`.
        statistics: What normalisation uses: see `network`.
        per_step: Whether buffers have a first dimension that counts steps.
        tasks: `auto`, or how tasks are run: see `schedule`.
        start: Makes some of the parameters that adapt of a task's support set; None: all start from their values.
    """

    steps: int
    rule: UpdateRule = Descent()  # noqa: RUF009  # frozen
    mode: OuterGradient = unrolled
    statistics: Statistics = "batch"
    per_step: bool = False
    tasks: Schedule | Literal["auto"] = "auto"
    start: Start | None = None

    def __post_init__(self) -> None:
        require_count("inner steps", self.steps, 0, MOST_STEPS)
        if not callable(self.mode):
            raise RecipeError(
                f"the mode of an inner loop is a function, such as `unrolled` or `implicit(λ, iterations)`; found {self.mode!r}."
            )
        if self.rule.learnt and not self.mode.learns:
            some = ", ".join(sorted(self.rule.learnt)[:3])
            raise RecipeError(
                f"this outer gradient does not reach what the update rule learns ({some} …), so it would never change. "
                "Give a rule with fixed rates, or use unrolled, flat or first_order."
            )
        if self.tasks not in ("auto", *SCHEDULES):
            raise RecipeError(f"tasks must be one of auto, {', '.join(SCHEDULES)}; found {self.tasks!r}.")
        if self.statistics not in ("batch", "running"):
            raise RecipeError(f"the inner loop normalises by 'batch' or by 'running' statistics; found {self.statistics!r}.")

    @property
    def kept(self) -> Kept:
        """What is held in memory for one task: the mode's, and the graph of the start, which is no larger than that of a step."""
        kept = self.mode.keeps(self.steps)
        return kept if self.start is None else kept._replace(graphs=tuple((steps + 1, queries) for steps, queries in kept.graphs))
