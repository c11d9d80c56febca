"""The outer loop: a generator that yields a `Step` after each update and can be started again from any `TrainState`.

In: a state, a stream of episodes or of labelled items, a way to validate. Out: steps, as they happen; the state changes as they do.
The caller draws progress bars, writes metrics and saves states between two steps. Next: `kshot.results`.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kshot.data.target_dataset import has_targets
from kshot.episodes.item_stream import ItemStream
from kshot.episodes.stream import EpisodeStream
from kshot.errors import RecipeError
from kshot.learners.learner import Learner, require_kind
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.state import TrainState, on_cpu
from kshot.meta_train.step import meta_step
from kshot.seeding import seeded
from kshot.short_repr import repr_of_fields


@dataclass(frozen=True)
class Validation:
    """A score on the fixed validation episodes.

    Attributes:
        mean: Of the scores, one an episode.
        interval: Half width of its 95 % interval.
        higher_is_better: Which of two means wins.
    """

    mean: float
    interval: float
    higher_is_better: bool = True

    __repr__ = repr_of_fields


@dataclass(frozen=True)
class Plan:
    """How long to train and when to look.

    Attributes:
        updates: Updates in all, ≥ 1.
        optimization: Optimiser, rate, clipping, precision.
        validate_every: Updates between two validations, ≥ 1; the last update is always validated.
        patience: Stop after this many validations without a better one; 0 never stops early.
        seed: Of the randomness of stock modules, such as dropout.
    """

    updates: int
    optimization: Optimization = Optimization()  # noqa: RUF009  # frozen
    validate_every: int = 500
    patience: int = 0
    seed: int = 0

    __repr__ = repr_of_fields

    def __post_init__(self) -> None:
        for name, least in (("updates", 1), ("validate_every", 1), ("patience", 0)):
            if getattr(self, name) < least:
                raise RecipeError(f"{name} must be at least {least}; found {getattr(self, name)}.")


@dataclass(frozen=True)
class Step:
    """What one update did.

    Attributes:
        update: Updates done, counting this one.
        loss: Mean loss over its tasks.
        gradient_norm: Before clipping.
        lr: The learning rate used.
        seconds: Of the update, sampling and gathering included, validation not.
        validation: The score, when this update was validated.
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


def start(learner: Learner, plan: Plan, stream: Stream | None = None) -> TrainState:
    """The state of a run before its first update.

    Args:
        learner: What to train.
        plan: How long and how.
        stream: What it will be trained on, for learners that are trained with a head: how many classes there are shapes it, and
            the plan's seed gives its first parameters. Others do not need it.

    Raises:
        RecipeError: The learner is not trained, or not by this kind of stream, or has nothing to train.
    """
    if stream is None:
        return TrainState(learner, plan.optimization.build(learner.parameters()))
    check_source(learner, stream)
    with seeded(plan.seed, "head"):
        trained = learner.for_training(stream.batches(0)[0])
    with_head = None if trained is learner else trained
    return TrainState(learner, plan.optimization.build(trained.parameters()), with_head)


def check_source(learner: Learner, stream: Stream) -> None:
    """Refuse a stream of another kind than the learner is trained on.

    Raises:
        RecipeError: It is of another kind, or its items are: classes where targets are wanted, or the other way round.
    """
    if learner.training_source != stream.source:
        wanted = {"episodes": "an EpisodeStream", "items": "an ItemStream", "none": "none: it is used as it is"}[learner.training_source]
        raise RecipeError(
            f"{type(learner).__name__} has training_source={learner.training_source!r}, but {type(stream).__name__} gives "
            f"{stream.source}. Give it {wanted}."
        )
    require_kind(learner, real_targets=has_targets(stream.dataset))


def train(state: TrainState, stream: Stream, plan: Plan, validate: Callable[[Learner], Validation] | None = None) -> Iterator[Step]:
    """Train until the plan is done or patience runs out.

    Args:
        state: From `start`, or restored; changed in place. Between two steps it can be saved.
        stream: The training episodes, or the labelled items of a learner that is trained on these.
        plan: How long, and when to validate.
        validate: Scores the learner (in evaluation mode) on fixed episodes; None: no validation, the last state is the best.

    Yields:
        One `Step` an update.

    Raises:
        RecipeError: The stream is of another kind than the learner is trained on.
        TrainingError: A loss or gradient is not a number; the state is the one after the last good update.
    """
    check_source(state.learner, stream)
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


def _record(state: TrainState, result: Validation, plan: Plan) -> bool:
    """Enter a validation into the state; True when it is the best so far."""
    since = state.update - (state.history[-1]["update"] if state.history else 0)
    state.history.append({"update": state.update, "mean": result.mean, "interval": result.interval, "loss": state.loss_sum / since})
    state.loss_sum = 0.0
    sign = 1 if result.higher_is_better else -1
    # A score that is not a number compares with nothing: were it ever the best, it would stay so.
    best = math.isfinite(result.mean) and (state.best_score is None or sign * result.mean > sign * state.best_score)
    if best:
        state.best, state.best_score, state.best_update = on_cpu(state.learner.state_dict()), result.mean, state.update
        state.waited = 0
    else:
        state.waited += 1
        state.stopped = bool(plan.patience) and state.waited >= plan.patience
    return best
