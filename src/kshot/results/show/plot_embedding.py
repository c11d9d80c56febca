"""A map of the embedding: features of new classes in two dimensions.

In: a learner with a fixed embedding, an episode set. Out: a PNG file. Next: `kshot.results.show.report`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kshot.figure import COLOURS, GREY, MARKS, name_lines, new_figure, write_png
from kshot.learners.learner import Learner
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import device_of, evaluating
from kshot.results.score.features import encode_items, item_codes
from kshot.results.show.plot_episodes import episode_at, shown_pictures

_CLASSES = 10
_MAP, _LETTER = 6.6, 0.065
"""Width of the map, and of a letter of the key, in inches."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """Items of some classes, encoded.

    Attributes:
        features: float64 (M, D), D ≥ 2.
        y: The class of each item as a position in `names`, int64 (M,).
        names: Names of the classes.
        items: Item numbers, int64 (M,).
        changes: Augmentation parameters of the items, int16 (M,), or None.
    """

    features: Tensor
    y: np.ndarray
    names: tuple[str, ...]
    items: np.ndarray
    changes: np.ndarray | None


@torch.no_grad()
def embed_classes(learner: Learner, episodes: EpisodeSet, *, classes: int = _CLASSES) -> Embedding | None:
    """Encode the items of the first few classes that the episodes use.

    Args:
        learner: The learner.
        episodes: The episode set. Support and query items of a class are taken from the first episode with this class.
        classes: Largest number of classes.

    Returns:
        Features of a fixed embedding; None if the learner has no such embedding, that is, if it does not encode an item as one finite
        vector of two or more numbers.
    """
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for place in range(len(episodes)):
        drawn = episode_at(episodes, place)
        y = np.concatenate([drawn.support_y[0], drawn.query_y[0]])
        items = np.concatenate([drawn.support_items[0], drawn.query_items[0]])
        changes = np.zeros_like(items, dtype=np.int16)
        if drawn.support_changes is not None and drawn.query_changes is not None:
            changes = np.concatenate([drawn.support_changes[0], drawn.query_changes[0]])
        for label, position in enumerate(drawn.classes[0].tolist()):
            if position not in found and len(found) < classes:
                found[position] = items[y == label], changes[y == label]
        if len(found) == min(classes, len(episodes.index)):
            break
    items, changes = (np.concatenate(column) for column in zip(*found.values(), strict=True))
    labels = np.repeat(np.arange(len(found)), [len(own) for own, _ in found.values()])
    codes, first = np.unique(item_codes(items, changes), return_index=True)
    device = device_of(learner)
    with evaluating(learner):
        rows = encode_items(learner, episodes, codes, device).rows
    if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.shape[1] < 2 or not bool(rows.isfinite().all()):
        return None
    names = tuple(episodes.index.names[position] for position in found)
    used = None if episodes.shape.augment == "none" else changes[first]
    return Embedding(rows.double().cpu(), labels[first], names, items[first], used)


def principal_plane(features: Tensor) -> tuple[Tensor, float]:
    """Project features on the two directions in which they spread most (principal components).

    Args:
        features: float64 (M, D), D ≥ 2.

    Returns:
        Places (M, 2), and the share of the total variance that they show. The largest entry of each direction is positive.
    """
    centred = features - features.mean(0)
    _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)  # directions (min(M, D), D)
    plane = directions[:2]
    plane = plane * torch.where(plane.gather(1, plane.abs().argmax(1, keepdim=True)) < 0, -1.0, 1.0)
    whole = float(sizes.square().sum())
    places = torch.zeros(len(features), 2, dtype=features.dtype)
    places[:, : len(plane)] = centred @ plane.T
    return places, float(sizes[:2].square().sum()) / whole if whole > 0 else 1.0


def plot_embedding(embedding: Embedding, episodes: EpisodeSet, path: Path) -> Path:
    """Draw the map with one colour and one mark per class. The key shows one picture of each class beside its name.

    Args:
        embedding: From `embed_classes`.
        episodes: The episode set of the embedding.
        path: The PNG file to write.

    Returns:
        `path`.

    Raises:
        SetupError: matplotlib is not installed.
        SavedError: The file cannot be written.
    """
    places, share = principal_plane(embedding.features)
    names = [name_lines(name) for name in embedding.names]
    longest = max(len(line) for name in names for line in name.split("\n"))
    firsts = np.array([np.flatnonzero(embedding.y == label)[0] for label in range(len(embedding.names))])
    changes = None if embedding.changes is None else embedding.changes[firsts]
    pictures = shown_pictures(episodes, embedding.items[firsts], changes)
    text_at = 0.35 if pictures is None else 0.85  # this and the other places along the key are in inches
    width = text_at + _LETTER * longest
    rows = max(_CLASSES, len(embedding.names))
    figure = new_figure(_MAP + width, 5.4)
    axes, key = figure.subplots(1, 2, width_ratios=(_MAP, width))
    key.set_axis_off()
    for label, name in enumerate(names):
        own = places[embedding.y == label].numpy()
        colour, (mark, size) = COLOURS[label % len(COLOURS)], MARKS[label % len(MARKS)]
        axes.scatter(own[:, 0], own[:, 1], s=size, marker=mark, color=colour, edgecolors="white", linewidths=0.4)
        key.scatter([0.15], [label], s=1.3 * size, marker=mark, color=colour)
        if pictures is not None:
            key.imshow(pictures[label], extent=(0.35, 0.75, label + 0.4, label - 0.4), aspect="auto", interpolation="antialiased")
        key.text(text_at, label, name, fontsize=7.5, va="center", linespacing=1.3, parse_math=False)
    key.set(xlim=(0, width), ylim=(rows - 0.5, -0.5))
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[["top", "right", "bottom", "left"]].set_color("#cfd6de")
    axes.set_xlabel(f"the two directions of largest spread; they show {100 * share:.0f} % of it", color=GREY)
    return write_png(figure, path)
