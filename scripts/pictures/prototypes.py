"""Prototypes and their regions: three characters in the plane through their class means, in the features of the shipped learner.

The plane holds the three prototypes, and what an item's features have outside of it is the same distance from all three. So the regions of
the plane are the learner's own, and every query falls into the one that the learner, with all its features, answers; this is checked.
"""

from typing import Any

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn

from kshot.episodes.batch import gather_batch
from kshot.episodes.shape import EpisodeShape
from kshot.learners.metric.protonet import ProtoNet
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating
from kshot.saved.shipped import load
from pictures.characters import ink, omniglot
from pictures.kit import Theme, new_plot, tinted

WAY, SHOT, QUERY, NUMBER = 3, 5, 8, 1


def draw(theme: Theme) -> Figure:
    """Support items, prototypes, queries and regions of one 3-way 5-shot episode of near characters."""
    data = omniglot()
    shape = EpisodeShape(WAY, SHOT, QUERY, nearness="near")
    episodes = EpisodeSet.draw(data, data.split("vinyals").part("test"), "vinyals/test", shape, episodes=NUMBER + 1, seed=0)
    drawn = episodes.drawn[0].rows(slice(NUMBER, NUMBER + 1))
    batch = gather_batch(data, drawn, "none", torch.device("cpu"))
    learner, flat = load("omniglot-protonet"), ProtoNet(nn.Identity()).eval()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    with evaluating(learner), torch.no_grad():
        features = [learner.encode(x[0]) for x in (batch.support_x, batch.query_x)]
        support, query = (x for x in features if isinstance(x, Tensor))
        whole = learner.predict(learner.adapt(support[None], batch.support_y, way=WAY), query[None])[0].argmax(-1)
        support, query = _in_the_plane(support, batch.support_y[0], query)
        adapted = flat.adapt(support[None], batch.support_y, way=WAY)
        answers = flat.predict(adapted, query[None])[0].argmax(-1)
        assert torch.equal(answers, whole)
        everything = torch.cat([support, query])
        low, high = everything.amin(0) - 1.2, everything.amax(0) + 1.2
        x, y = (torch.linspace(float(low[axis]), float(high[axis]), 400) for axis in (0, 1))
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(1, -1, 2)
        regions = flat.predict(adapted, grid)[0].argmax(-1).reshape(400, 400)

    figure, (axes,) = new_plot(height=4.3)
    axes.contourf(x, y, regions, levels=[-0.5, 0.5, 1.5, 2.5], cmap=ListedColormap(theme.colours[:WAY]), alpha=0.16)
    axes.contour(x, y, regions, levels=[0.5, 1.5], colors=theme.muted, linewidths=0.8)
    for label in range(WAY):
        colour, own, asked = theme.colours[label], batch.support_y[0] == label, batch.query_y[0] == label
        axes.scatter(*_places(support[own]), s=34, marker="o", color=colour, zorder=3)
        centre = support[own].mean(0)
        for item in support[own]:
            axes.plot(*torch.stack([centre, item]).T, color=colour, linewidth=0.8, alpha=0.6)
        right = answers == batch.query_y[0]
        axes.scatter(*_places(query[asked & right]), s=34, marker="^", facecolor="none", edgecolor=colour, linewidth=1.3, zorder=3)
        axes.scatter(*_places(query[asked & ~right]), s=60, marker="x", color=colour, linewidth=2, zorder=3)
        axes.scatter(*_places(centre[None]), s=260, marker="*", color=colour, edgecolor=theme.ink, linewidth=0.9, zorder=4)
        (first, *_) = ink(drawn.support_items[0][drawn.support_y[0] == label])
        inset = axes.inset_axes((0.79, 0.70 - 0.27 * label, 0.18, 0.24))
        inset.imshow(tinted(first, theme.ink), interpolation="none")
        inset.set(xticks=[], yticks=[])
        inset.spines[:].set_color(colour)
    width = float(high[0] - low[0])
    axes.set(xlim=(low[0], float(high[0]) + 0.28 * width), ylim=(low[1], high[1]), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    key: dict[str, Any] = {"color": theme.ink, "linestyle": "none"}
    kinds: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("o", "support", {}),
        ("*", "prototype", {"markersize": 12}),
        ("^", "query, right", {"fillstyle": "none"}),
        ("x", "query, wrong", {}),
    )
    for marker, name, extra in kinds:
        axes.plot([], [], marker=marker, label=name, **key, **extra)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4, fontsize=9, handletextpad=0.2)
    return figure


def _places(points: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) as x (n,) and y (n,)."""
    return points[:, 0].numpy(), points[:, 1].numpy()


def _in_the_plane(support: Tensor, labels: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    """Features (S, D) and (Q, D) → their coordinates (S, 2) and (Q, 2) in the plane through the three prototypes."""
    centres = torch.stack([support[labels == label].mean(0) for label in range(WAY)])
    axes = np.linalg.qr((centres[1:] - centres[0]).double().T.numpy())[0]  # (D, 2)
    middle = centres.mean(0)
    return tuple(((x - middle).double() @ torch.from_numpy(axes)).float() for x in (support, query))  # type: ignore[return-value]  # two in, two out
