"""The outer loop: a generator that yields a `Step` after each update and can restart from any `TrainState`.

In: a state, a stream of episodes or of labelled items, and a function that validates. Out: steps as they happen; each one changes the
state. The caller draws progress bars, writes metrics and saves states between two steps. Next: `kshot.workflows.experiment` runs it.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kshot.data.target_dataset import has_targets
from kshot.episodes.item_stream import ItemStream
from kshot.episodes.stream import EpisodeStream
from kshot.errors import RecipeError
from kshot.learners.backbone_form import require_shapes
from kshot.learners.learner import Learner, require_kind
from kshot.learners.settings import require_count
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.state import Trained, TrainState, on_cpu
from kshot.meta_train.step import Batch, meta_step
from kshot.seeding import seeded
from kshot.short_repr import repr_of_fields


@dataclass(frozen=True)
class Validation:
    """A score on the fixed validation episodes.

    Attributes:
        mean: Mean of the scores, one score per episode.
        interval: Half width of the 95 % interval of the mean.
        higher_is_better: Whether the higher of two means is the better one.
    """

    mean: float
    interval: float
    higher_is_better: bool = True

    __repr__ = repr_of_fields


@dataclass(frozen=True)
class Plan:
    """How long to train, and when to validate.

    Attributes:
        updates: Updates in all, ≥ 1.
        optimization: Optimiser, rate, clipping, precision.
        validate_every: Updates between two validations, ≥ 1. The last update is always validated.
        patience: Training stops after this many validations without a better one; 0 never stops early.
        seed: Seed for the randomness of stock modules, for example dropout, ≥ 0.

    Raises:
        RecipeError: A number is not whole or is out of its range.
    """

    updates: int
    optimization: Optimization = Optimization()  # noqa: RUF009  # frozen
    validate_every: int = 500
    patience: int = 0
    seed: int = 0

    __repr__ = repr_of_fields

    def __post_init__(self) -> None:
        for name, least in (("updates", 1), ("validate_every", 1), ("patience", 0), ("seed", 0)):
            require_count(name, getattr(self, name), least)
        if not isinstance(self.optimization, Optimization):
            raise RecipeError(f"optimization must be an Optimization; found {self.optimization!r}.")


@dataclass(frozen=True)
class Step:
    """What one update did.

    Attributes:
        update: Updates done, counting this one.
        loss: Mean loss over its tasks.
        gradient_norm: Norm of the gradient before clipping.
        lr: Learning rate of this update.
        seconds: Duration of the update, with sampling and gathering, without validation.
        validation: The score, if this update was validated.
        best: Whether that score is the best so far.
    """

    update: int
    loss: float
    gradient_norm: float
    lr: float
    seconds: float
    validation: Validation | None = None
    best: bool = False

    __repr__ = repr_of_fields


Stream = EpisodeStream | ItemStream


class Batches(Protocol):
    """The batches of every update, a function of its number."""

    def batches(self, update: int) -> Sequence[Batch]:
        """The batches of an update."""
        ...


def start(learner: Learner, plan: Plan, stream: Stream | None = None) -> TrainState[Learner]:
    """Return the state of a run before its first update.

    Args:
        learner: The learner to train.
        plan: How long and how to train.
        stream: Training data, needed for learners that are trained with a head: its number of classes gives the shape of the head, and
            the seed of the plan gives the head's initial parameters. Other learners do not need it.

    Raises:
        RecipeError: The learner is not trained, is not trained on this kind of stream, has no parameters to train, or holds a lazy module
            that was never called.
    """
    require_shapes([*learner.named_parameters(), *learner.named_buffers()])
    if stream is None:
        return TrainState(learner, plan.optimization.build(learner.parameters()))
    check_source(learner, stream)
    with seeded(plan.seed, "head"):
        trained = learner.for_training(stream.batches(0)[0])
    with_head = None if trained is learner else trained
    return TrainState(learner, plan.optimization.build(trained.parameters()), with_head)


def check_source(learner: Learner, stream: Stream) -> None:
    """Raise an error unless the learner is trained on this kind of stream.

    Raises:
        RecipeError: The stream is of another kind, or its items are: they have classes instead of real targets, or the other way round.
    """
    if learner.training_source != stream.source:
        wanted = {"episodes": "an EpisodeStream", "items": "an ItemStream", "none": "none: it is not trained"}[learner.training_source]
        raise RecipeError(
            f"{type(learner).__name__} has training_source={learner.training_source!r}, but {type(stream).__name__} gives "
            f"{stream.source}. Give it {wanted}."
        )
    require_kind(learner, real_targets=has_targets(stream.dataset))


def train(
    state: TrainState[Learner], stream: Stream, plan: Plan, validate: Callable[[Learner], Validation] | None = None
) -> Iterator[Step]:
    """Train until the plan is done or patience runs out.

    Args:
        state: From `start`, or restored. It is changed in place and can be saved between two steps.
        stream: Training episodes, or labelled items for learners that are trained on items.
        plan: How long to train, and when to validate. Its optimiser must be that of the state; its rate, schedule and clipping are free.
        validate: Scores the learner (in evaluation mode) on fixed episodes. None: there is no validation, and the last state is the best.

    Yields:
        One `Step` per update.

    Raises:
        RecipeError: The stream is of another kind than the learner is trained on, the plan has another optimiser than the state, or
            the optimiser of the state does not hold the parameters of its learner.
        TrainingError: A loss or gradient is not a number. The state is that after the last good update.
    """
    check_source(state.learner, stream)
    yield from updates(state, stream, plan, validate)


def updates(
    state: TrainState[Trained], stream: Batches, plan: Plan, validate: Callable[[Trained], Validation] | None = None
) -> Iterator[Step]:
    """The loop of `train`, for everything that is trained: learners, and learned optimisers, which are trained on functions to minimise.

    Arguments and errors are those of `train`; that what is trained fits the stream is not checked.
    """
    plan.optimization.check(state.optimizer)
    plan.optimization.check_parameters(state.optimizer, state.trained.parameters())
    while state.update < plan.updates and not state.stopped:
        began = time.perf_counter()
        state.trained.train()
        batches = stream.batches(state.update)
        with seeded(plan.seed, "training", state.update):
            loss, norm = meta_step(
                state.trained,
                state.optimizer,
                batches,
                optimization=plan.optimization,
                update=state.update,
                updates=plan.updates,
            )
        lr = plan.optimization.rate(state.update, plan.updates)
        state.update += 1
        state.loss_sum += loss
        seconds = time.perf_counter() - began
        result, best = None, False
        if validate is not None and (state.update % plan.validate_every == 0 or state.update == plan.updates):
            state.trained.eval()
            result = validate(state.learner)
            best = _record(state, result, plan)
        yield Step(state.update, loss, norm, lr, seconds, result, best)
    state.trained.eval()


def _record(state: TrainState[Any], result: Validation, plan: Plan) -> bool:
    """Record a validation in the state. Return whether it is the best so far."""
    since = state.update - (state.history[-1]["update"] if state.history else 0)
    state.history.append({"update": state.update, "mean": result.mean, "interval": result.interval, "loss": state.loss_sum / since})
    state.loss_sum = 0.0
    sign = 1 if result.higher_is_better else -1
    # No comparison with NaN is true: if NaN ever became the best score, it would stay the best.
    best = math.isfinite(result.mean) and (state.best_score is None or sign * result.mean > sign * state.best_score)
    if best:
        state.best, state.best_score, state.best_update = on_cpu(state.learner.state_dict()), result.mean, state.update
        state.waited = 0
    else:
        state.waited += 1
        state.stopped = bool(plan.patience) and state.waited >= plan.patience
    return best
