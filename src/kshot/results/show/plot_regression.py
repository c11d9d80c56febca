"""Tasks with real targets as a PNG picture: the predictions of learners against the truth.

In: learners by name, and episodes with one number per item as input. Out: a file with one panel per task. The same learner with different
numbers of steps counts as several learners, so a picture can show predictions before and after adaptation.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kshot.data.target_dataset import has_targets
from kshot.episodes.batch import gather_batch
from kshot.episodes.episode import EpisodeBatch
from kshot.errors import RecipeError
from kshot.figure import COLOURS, GREY, drawable, frame, new_figure, write_png
from kshot.learners.learner import Learner, encode_tasks, require_kind
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import device_of, evaluating
from kshot.results.show.plot_episodes import episode_at

_POINTS = 200
"""Number of points of a curve."""
_ACROSS = 2
"""Largest number of panels side by side."""
TRUTH = "#202020"


def plot_regression(learners: Mapping[str, Learner], episodes: EpisodeSet, path: Path, *, tasks: int = 4, target: int = 0) -> Path:
    """Draw the first tasks of an episode set: support items, query items (the truth), and each learner's curve with its squared error.

    Args:
        learners: Learners by their names in the legend, for example `before` and `after 5 steps`. Each is put in evaluation mode and
            restored afterwards. There are ten different colours.
        episodes: Episodes with real targets and one number per item.
        path: The PNG file to write.
        tasks: Number of tasks, ≥ 1; at most all of them are drawn.
        target: Which target to draw, if items have several.

    Returns:
        `path`.

    Raises:
        RecipeError: There is no learner or no task, a learner classifies, items have more than one number, or there is no such target.
        SetupError: matplotlib is not installed.
        SavedError: The file cannot be written.
    """
    if not learners or tasks < 1:
        raise RecipeError(f"a picture of predictions needs a learner and at least one task; found {len(learners)} learners, tasks={tasks}.")
    for learner in learners.values():
        require_kind(learner, real_targets=has_targets(episodes.dataset))
    places = range(min(tasks, len(episodes)))
    batches = [_task(episodes, place, target) for place in places]
    columns = min(_ACROSS, len(batches))
    rows = -(-len(batches) // columns)
    figure = new_figure(10.5, 0.7 + 3.4 * rows)
    panels = np.asarray(figure.subplots(rows, columns, squeeze=False)).reshape(-1)
    for spare in panels[len(batches) :]:
        spare.set_axis_off()
    for panel, batch in zip(panels, batches, strict=False):
        sx, sy, qx, qy = (value[0, :, 0 if value.shape[2] == 1 else target].numpy() for value in _parts(batch))
        order = np.argsort(qx)
        panel.plot(qx[order], qy[order], color=TRUTH, linewidth=1, linestyle=":", marker=".", markersize=4, label="truth (queries)")
        low, high = min(sx.min(), qx.min()), max(sx.max(), qx.max())
        grid = torch.linspace(float(low), float(high), _POINTS, dtype=_parts(batch)[0].dtype).reshape(1, -1, 1)
        words = []
        for number, (name, learner) in enumerate(learners.items()):
            curve, error = _answers(learner, batch, grid)
            colour = COLOURS[number % len(COLOURS)]
            panel.plot(grid[0, :, 0].numpy(), curve[0, :, target].numpy(), color=colour, linewidth=1.8, label=drawable(name, 40))
            words.append(f"{error:.3g}")
        panel.plot(sx, sy, color=TRUTH, marker="^", markersize=8, linestyle="none", label="support")
        panel.set_title(f"task {int(batch.numbers[0])}: squared error {', '.join(words)}", fontsize=9, color=GREY)
        frame(panel, "input", "target" if _parts(batch)[1].shape[2] == 1 else f"target {target}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(6, 2 + len(learners)), frameon=False)
    return write_png(figure, path)


def has_curves(episodes: EpisodeSet) -> bool:
    """Whether items have real targets and one number each, so that predictions form a curve."""
    data = episodes.dataset
    x = data.preprocess.to_input(data.gather(episodes.index.items[:1]))
    return has_targets(data) and isinstance(x, Tensor) and x.numel() == 1


def _task(episodes: EpisodeSet, place: int, target: int) -> EpisodeBatch:
    """Gather one task on the CPU, and check that it has one number per item and this target."""
    batch = gather_batch(episodes.dataset, episode_at(episodes, place), episodes.shape.augment, torch.device("cpu"))
    if not isinstance(batch.support_x, Tensor) or batch.support_x[0, 0].numel() != 1:
        found = tuple(batch.support_x.shape[2:]) if isinstance(batch.support_x, Tensor) else "a mapping"
        raise RecipeError(f"a curve needs one number per item; found items of shape {found}. Look at the scores instead.")
    if not 0 <= target < batch.query_y.shape[2]:
        raise RecipeError(f"items have {batch.query_y.shape[2]} targets, counted from 0; target {target} was asked for.")
    return batch


def _parts(batch: EpisodeBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return support and query items (1, n, 1) with their targets (1, n, T)."""
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    x, q = (value.reshape(1, value.shape[1], 1) for value in (batch.support_x, batch.query_x))
    return x, batch.support_y, q, batch.query_y


@torch.no_grad()
def _answers(learner: Learner, batch: EpisodeBatch, grid: Tensor) -> tuple[Tensor, float]:
    """Return the values on the grid (1, P, T) on the CPU, and the squared error on the queries."""
    device = device_of(learner)
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    form = batch.query_x.shape[2:]
    with evaluating(learner):
        support, query, places = encode_tasks(
            learner, batch.support_x.to(device), batch.query_x.to(device), grid.reshape(1, -1, *form).to(device)
        )
        adapted = learner.adapt(support, batch.support_y.to(device))
        ask = learner.predict if "inductive" in learner.modes else learner.predict_together
        error = learner.family.score(ask(adapted, query), batch.query_y.to(device))
        return ask(adapted, places).float().cpu(), float(error[0])
