"""Pictures of episodes: the support pictures of each class, and queries with right and wrong answers.

In: an episode set, a learner, the scores of the episodes. Out: PNG files. Next: `kshot.results.show.report`.
"""

from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kshot.data.pictures.ink import Ink
from kshot.episodes.augment import augmentation
from kshot.episodes.episode import DrawnEpisodes
from kshot.figure import GREEN, GREY, RED, name_lines, new_figure, write_png
from kshot.learners.learner import Learner, Mode
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import device_of, evaluating, predict_rectangle
from kshot.results.score.features import encode_items, used_codes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CLASSES, _MOST_SHOTS, _MOST_QUERIES = 10, 5, 8
_MARGIN, _GAP, _ROW = 3.8, 0.6, 1.42
"""Distances in the drawing, in widths of a picture: the space for the class name, the gap between support and queries, the row height."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One episode with the learner's answers.

    Attributes:
        kind: `worst`, `median` or `best` of the episodes.
        drawn: A rectangle with only this episode.
        answers: Label given to each query, int64 (Q,).
        names: Names of its classes, in the order of the labels.
    """

    kind: str
    drawn: DrawnEpisodes
    answers: np.ndarray
    names: tuple[str, ...]

    @property
    def right(self) -> int:
        """Number of queries answered correctly."""
        return int((self.answers == self.drawn.query_y[0]).sum())


@torch.no_grad()
def sample_episodes(learner: Learner, episodes: EpisodeSet, scores: np.ndarray, *, mode: Mode = "inductive") -> list[Sample]:
    """Return the best, the median and the worst of scored episodes, answered again.

    Args:
        learner: A learner of classification tasks.
        episodes: The episodes that were scored.
        scores: One score per episode, in the order of the episode numbers; higher is better. Of equal scores, the first one counts.
        mode: The mode in which they were scored.

    Returns:
        At most three different episodes, the median first.
    """
    order = np.argsort(-scores, kind="stable")  # the best first
    picked = {"median": int(order[len(order) // 2]), "worst": int(scores.argmin()), "best": int(order[0])}
    samples: dict[int, Sample] = {}
    device = device_of(learner)
    with evaluating(learner):
        for kind, place in picked.items():
            if place in samples:
                continue
            drawn = episode_at(episodes, place)
            features = encode_items(learner, episodes, used_codes(drawn), device)
            answers = predict_rectangle(learner, episodes, drawn, features, mode, device)[0].argmax(-1).cpu().numpy()
            samples[place] = Sample(kind, drawn, answers, tuple(episodes.index.names[place] for place in drawn.classes[0]))
    return list(samples.values())


def episode_at(episodes: EpisodeSet, place: int) -> DrawnEpisodes:
    """Return the episode at one place in the order of the episode numbers, as a separate rectangle."""
    number = np.sort(np.concatenate([rectangle.numbers for rectangle in episodes.drawn]))[place]
    rectangle = next(rectangle for rectangle in episodes.drawn if number in rectangle.numbers)
    return rectangle.rows(np.flatnonzero(rectangle.numbers == number))


def shown_pictures(episodes: EpisodeSet, items: np.ndarray, changes: np.ndarray | None) -> np.ndarray | None:
    """Return items for display: uint8 (M, H, W, 3), with dark ink on white; None if the items are not pictures.

    Args:
        episodes: Gives the data and the augmentation.
        items: Item numbers, int64 (M,).
        changes: Augmentation parameters of the items, int16 (M,), or None.
    """
    kept = episodes.dataset.gather(items)
    if not isinstance(kept, Tensor) or kept.dtype != torch.uint8 or kept.ndim != 4 or kept.shape[1] not in (1, 3):
        return None
    rule = augmentation(episodes.shape.augment)
    if rule is not None and changes is not None:
        kept = rule.apply(kept, changes)
    assert isinstance(kept, Tensor)
    pixels = kept.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()  # (M, H, W, 3)
    return 255 - pixels if isinstance(episodes.dataset.preprocess, Ink) else pixels


def letter(label: int) -> str:
    """Return the letter of a class in a picture: A to Z, then AA, AB and so on."""
    return (letter(label // 26 - 1) if label >= 26 else "") + ascii_uppercase[label % 26]


def shown_classes(sample: Sample) -> list[int]:
    """Return the labels of the classes that fit in a picture: all of them, or those with most mistakes."""
    wrong = sample.drawn.query_y[0][sample.answers != sample.drawn.query_y[0]]
    mistakes = np.bincount(wrong, minlength=sample.drawn.way)
    return sorted(np.argsort(-mistakes, kind="stable")[:_MOST_CLASSES].tolist())


def plot_episode(sample: Sample, episodes: EpisodeSet, path: Path) -> Path | None:
    """Draw one episode: one row per class with its support pictures, then queries, framed green if right and red if wrong.

    Wrong queries come first and show the class for which they were taken. Right ones fill the rest of the row.

    Args:
        sample: From `sample_episodes`.
        episodes: The episode set of the sample.
        path: The PNG file to write.

    Returns:
        `path`, or None if the items are not pictures.

    Raises:
        SetupError: matplotlib is not installed.
        SavedError: The file cannot be written.
    """
    drawn, labels = sample.drawn, shown_classes(sample)
    support = [np.flatnonzero(drawn.support_y[0] == label)[:_MOST_SHOTS] for label in labels]
    query = []
    for label in labels:
        own = np.flatnonzero(drawn.query_y[0] == label)
        query.append(own[np.argsort(sample.answers[own] == label, kind="stable")][:_MOST_QUERIES])
    pictures = [
        shown_pictures(episodes, drawn.support_items[0], None if drawn.support_changes is None else drawn.support_changes[0]),
        shown_pictures(episodes, drawn.query_items[0], None if drawn.query_changes is None else drawn.query_changes[0]),
    ]
    if pictures[0] is None or pictures[1] is None:
        return None
    shots, queries = max(map(len, support)), max(map(len, query))
    right_end = _MARGIN + shots * 1.12 + _GAP + queries * 1.12
    figure = new_figure(0.62 * right_end, 0.62 * (_ROW * len(labels) + 0.7))
    figure.set_layout_engine("none")  # everything is placed by hand below
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, right_end), ylim=(_ROW * len(labels) + 0.1, -0.6))
    axes.set_axis_off()
    query_start = _MARGIN + shots * 1.12 + _GAP
    axes.text(_MARGIN, -0.2, "support", fontsize=9, color=GREY, weight="bold")
    axes.text(query_start, -0.2, "queries", fontsize=9, color=GREY, weight="bold")
    axes.plot([query_start - 0.36] * 2, [-0.4, _ROW * len(labels)], color="#cfd6de", linewidth=1)
    for row, label in enumerate(labels):
        top = _ROW * row
        _name(axes, sample.names[label], letter(label), top)
        for column, place in enumerate(support[row]):
            _picture(axes, pictures[0][place], _MARGIN + 1.12 * column, top, "#9aa5b1", 0.8)
        for column, place in enumerate(query[row]):
            x, answer = query_start + 1.12 * column, int(sample.answers[place])
            _picture(axes, pictures[1][place], x, top, GREEN if answer == label else RED, 1.8 if answer == label else 2.6)
            if answer != label:
                axes.text(x + 0.5, top + 1.09, f"taken for {letter(answer)}", fontsize=6.5, color=RED, ha="center", va="top")
    return write_png(figure, path)


def _name(axes: "Axes", name: str, short: str, top: float) -> None:
    axes.text(0.15, top + 0.5, short, fontsize=13, weight="bold", va="center")
    axes.text(0.95, top + 0.5, name_lines(name), fontsize=7, va="center", linespacing=1.3, parse_math=False)


def _picture(axes: "Axes", pixels: np.ndarray, x: float, y: float, colour: str, width: float) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(pixels, extent=(x, x + 1, y + 1, y), aspect="auto", interpolation="antialiased", zorder=1)
    axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=colour, linewidth=width, zorder=2))
