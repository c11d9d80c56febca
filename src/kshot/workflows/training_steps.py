"""The steps of a run, with what is written while they happen: metrics and the state. Learners and learned optimisers share it.

In: the steps of the outer loop, and the state that they change. Out: whether the run came to its end. Next: `kshot.workflows.experiment`,
`kshot.workflows.optimizer_experiment`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kshot.errors import KshotError
from kshot.meta_train.loop import Step
from kshot.meta_train.state import TrainState
from kshot.meta_train.state_file import STATE, save_state
from kshot.meta_train.track import Track
from kshot.workflows.recipe_sections import TrainingRecipe
from kshot.workflows.run_folder import METRICS


def take_steps(
    steps: Iterator[Step],
    state: TrainState[Any],
    folder: Path,
    identity: dict[str, Any],
    training: TrainingRecipe,
    *,
    on_step: Callable[[Step], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Take all steps, and write metrics and states into the folder of the run.

    Args:
        steps: From the outer loop.
        state: What the steps change.
        folder: Folder of the run.
        identity: What the run does, which is saved with the state.
        training: How many updates there are, and how often the state is saved.
        on_step: Called after every update.
        stop: Called after every update. If it returns True, the state is saved and the run ends early.

    Returns:
        Whether the run is complete; False if it was stopped early.

    Raises:
        KshotError: An update or a validation failed. The folder holds the state before it.
    """
    board = folder / "tensorboard" if training.tensorboard else None
    with Track(folder / METRICS, since=state.update, tensorboard=board) as track:
        try:
            for step in steps:
                track.write(step)
                if on_step is not None:
                    on_step(step)
                stopping = stop()
                if stopping or step.validation is not None or state.update % training.save_every == 0:
                    track.flush()
                    save_state(folder / STATE, state, identity)
                if stopping and state.update < training.updates:
                    return False
        except KshotError:  # the update or validation that failed has not changed the state
            track.flush()
            save_state(folder / STATE, state, identity)
            raise
    return True
