"""Where the queries of a task have no loss though its steps went well: is it their own numbers? The inner rate is not blamed for those."""

from torch import Tensor

from kshot.episodes.episode import EpisodeBatch
from kshot.errors import TrainingError
from kshot.learners.inner_loop.problem import TaskGradient


def check_query_numbers(batch: EpisodeBatch, found: TaskGradient) -> None:
    """Refuse queries that are no numbers themselves.

    Args:
        batch: B tasks.
        found: What came of them; only tasks whose steps gave finite losses and whose queries did not are looked at.

    Raises:
        TrainingError: It names the episode, the item and the input.
    """
    losses = found.loss.detach()
    bad = ~losses.isfinite() & found.path.isfinite().all(1)
    if not bool(bad.any()):
        return
    task = int(bad.int().argmax())
    values = {"x": batch.query_x} if isinstance(batch.query_x, Tensor) else dict(batch.query_x)
    for name, value in {**values, "y": batch.query_y}.items():
        items = value[task].flatten(1) if value.ndim > 2 else value[task].unsqueeze(1)
        if value.is_floating_point() and not bool(items.isfinite().all()):
            item = int((~items.isfinite().all(1)).int().argmax())
            raise TrainingError(
                f"the query loss of episode {int(batch.numbers[task])} is {float(losses[task]):.3g}: its query item {item} ({name}) "
                "holds numbers that are not finite. Mend the item, or leave it out."
            )
