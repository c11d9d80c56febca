"""A whole training run of a learned optimiser: objectives → learned optimiser → meta-training → saved file.

In: a `Recipe` that trains an optimiser. Out: the folder of a run (`run_folder`), with the best state in `optimizer/`. Next:
`kshot.running`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atomic import write_json
from kshot.device import pick_device
from kshot.errors import RecipeError, SavedError, known_ones
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.meta_train.loop import Plan, Step, Validation, updates
from kshot.meta_train.objectives.objective import ObjectiveKind
from kshot.meta_train.objectives.table import OBJECTIVES
from kshot.meta_train.same_run import environment
from kshot.meta_train.state import TrainState
from kshot.meta_train.state_file import STATE, restore, save_state
from kshot.meta_train.track import require_tensorboard
from kshot.meta_train.trajectory import progress_of, trajectories
from kshot.meta_train.unroll import Unrolling, WindowStream
from kshot.regular_file import look
from kshot.results.score.interval import mean_and_interval
from kshot.saved.optimizer_file import SavedOptimizer, save_optimizer
from kshot.workflows.build import optimization_of
from kshot.workflows.recipe import Recipe
from kshot.workflows.run_folder import OPTIMIZER, RECIPE, compared, goes_on, unfinished_files
from kshot.workflows.run_lock import locked
from kshot.workflows.training_steps import take_steps

_BETWEEN = 5
"""Steps from one loss of a validation to the next; the loss on all data costs more than a step."""


@dataclass(frozen=True)
class OptimizerRun:
    """A run that is about to start or continue.

    Attributes:
        recipe: The recipe of the run.
        folder: The folder of the run.
        state: The present state of training.
        stream: The windows of training.
        plan: How long to train, and when to validate.
        notes: Plain sentences for the user.
    """

    recipe: Recipe
    folder: Path
    state: TrainState[Unrolling]
    stream: WindowStream
    plan: Plan
    notes: tuple[str, ...] = ()


def prepare_optimizer(recipe: Recipe, folder: Path, *, resume: bool = False, device: str = "auto") -> OptimizerRun:
    """Build every part of a run, and check all of it before anything is written.

    Args:
        recipe: A recipe that trains an optimiser.
        folder: Folder of the run, as for `kshot.workflows.experiment.prepare`.
        resume: Whether to continue from the state in the folder.
        device: `auto` or `cpu`: the functions are small, and are computed on the CPU.

    Raises:
        KshotError: The recipe asks for something impossible. Nothing has been written.
    """
    if device != "auto" and pick_device(device).type != "cpu":
        raise RecipeError(
            f"learned optimisers are trained on the CPU, because their functions are small; found device {device!r}. Use cpu."
        )
    for key in ("start_from", "backbone_from", "frozen"):
        if (said := getattr(recipe.training, key)) != "none":
            raise RecipeError(f"a learned optimiser starts from its own initial weights, and learns whole; found training.{key}={said!r}.")
    if recipe.training.tensorboard:
        require_tensorboard()
    ask = recipe.optimizer
    resume = goes_on(folder, recipe, resume)
    lanes = {name: (kind_named(name), tasks) for name, tasks in ask.functions.items()}
    if not lanes or min(ask.functions.values()) < 1:
        raise RecipeError(f"optimizer.functions needs at least one kind with 1 or more functions; found {dict(ask.functions)}.")
    stream = WindowStream(lanes, seed=recipe.seed, horizon=ask.horizon, truncation=ask.truncation)
    optimizer = LearnedOptimizer(ask.rule, hidden=ask.hidden, layers=ask.layers, horizon=ask.horizon, seed=recipe.seed)
    trained = Unrolling(optimizer, stream, estimator=ask.estimator, pairs=ask.pairs, sigma=ask.sigma, second_order=ask.second_order)
    look = recipe.validation
    plan = Plan(recipe.training.updates, optimization_of(recipe.training), look.every, look.patience, recipe.seed)
    state = TrainState(trained, plan.optimization.build(trained.parameters()))
    notes: tuple[str, ...] = ()
    if resume and (changed := restore(folder / STATE, state, compared(recipe))):
        notes = (f"Resumed in another environment ({'; '.join(changed)}): the result is right, but not bit-identical.",)
    return OptimizerRun(recipe, folder, state, stream, plan, notes)


def run_optimizer(
    ready: OptimizerRun,
    *,
    command: str = "",
    on_step: Callable[[Step], None] | None = None,
    on_validation: Callable[[int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> SavedOptimizer | None:
    """Train, and save the best state.

    Args:
        ready: From `prepare_optimizer`.
        command: Command that started the run, for the record.
        on_step: Called after every update.
        on_validation: Called with the number of functions minimised for validation since the last call.
        stop: Called after every update. If it returns True, the state is saved and the run ends early; it can be resumed.

    Returns:
        The saved learned optimiser, or None if the run was stopped early.

    Raises:
        TrainingError: A loss is not a number. The folder holds the last good state.
        SavedError: The disk refused a file, or another run writes into the folder. The last state written is whole.
    """
    recipe, state, folder = ready.recipe, ready.state, ready.folder
    identity = compared(recipe)
    with locked(folder, state.update, identity):
        for unfinished in unfinished_files(folder):
            unfinished.unlink(missing_ok=True)
        if look(folder / STATE, SavedError) == "nothing":
            write_json(folder / RECIPE, recipe.as_dict())
            save_state(folder / STATE, state, identity)

        def validate(trained: Unrolling) -> Validation:
            scores = []
            horizon = recipe.optimizer.horizon
            for name in recipe.optimizer.functions:
                numbers = range(recipe.validation.episodes)
                curves = trajectories(
                    trained.optimizer.rule,
                    OBJECTIVES[name],
                    seed=recipe.seed,
                    numbers=numbers,
                    part="val",
                    steps=horizon,
                    every=_BETWEEN if horizon % _BETWEEN == 0 else 1,
                )
                scores.append(progress_of(curves).numpy())
                if on_validation is not None:
                    on_validation(len(numbers))
            mean, interval = mean_and_interval(np.concatenate(scores))
            return Validation(mean, interval, higher_is_better=False)

        steps = updates(state, ready.stream, ready.plan, validate)
        if not take_steps(steps, state, folder, identity, recipe.training, on_step=on_step, stop=stop):
            return None
        return save_best_optimizer(ready, folder / OPTIMIZER, command)


def save_best_optimizer(ready: OptimizerRun, folder: Path, command: str = "") -> SavedOptimizer:
    """Save the best state so far of a run, finished or not.

    Args:
        ready: From `prepare_optimizer`.
        folder: Where to.
        command: Command that started the run, for the record.
    """
    recipe, state = ready.recipe, ready.state
    state.learner.load_state_dict(state.best_or_last())
    record: dict[str, Any] = {
        "recipe": recipe.as_dict(),
        "seed": recipe.seed,
        "command": command,
        "updates": state.update,
        "best_update": state.best_update,
        "validation": state.history,
        "environment": environment(),
    }
    save_optimizer(folder, state.learner.optimizer, record)
    return SavedOptimizer(state.learner.optimizer, record, folder)


def kind_named(name: str) -> ObjectiveKind:
    """The kind of objective of that name.

    Raises:
        RecipeError: There is none.
    """
    if name not in OBJECTIVES:
        raise RecipeError(f"there is no kind of objective {name!r}.{known_ones(name, OBJECTIVES)}")
    return OBJECTIVES[name]
