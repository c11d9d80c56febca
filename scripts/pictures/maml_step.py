"""A MAML step on a loss surface, computed by kshot: three tasks, a model of two parameters, the inner steps and the outer move.

The model is a line, y = w x + b, so θ = (w, b). Each task is one line, seen at a few points; its support points lie in another place than
those of the other tasks, so its bowl has another shape. The surface is J(θ): the query loss after `STEPS` inner steps from θ, averaged over
the tasks. Its lowest point is the start from which these steps help most, and need not be the mean of the three solutions.
"""

from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.learners.gradient.first_order_maml import FirstOrderMAML
from kshot.learners.gradient.maml import MAML
from pictures.kit import Theme, new_plot, tidy

STEPS, INNER_LR, OUTER_LR = 3, 0.18, 0.5
START = (-1.3, -1.1)
LINES = ((1.6, 0.9), (-0.6, 1.7), (1.3, -1.2))
PLACES = ((-0.4, 0.3, 1.5), (-1.6, -0.7, 0.5), (0.5, 1.2, 2.0))


def tasks() -> EpisodeBatch:
    """Three lines at three support points each, and at five query points."""
    support = torch.tensor(PLACES).unsqueeze(-1)  # (3, 3, 1)
    query = torch.linspace(-1.5, 1.5, 5).expand(3, 5).unsqueeze(-1)  # (3, 5, 1)
    w, b = torch.tensor(LINES).T[..., None, None]
    return EpisodeBatch(support, w * support + b, query, w * query + b, None, np.arange(3))


def learner_at(theta: tuple[float, float], kind: type[MAML | FirstOrderMAML] = MAML, steps: int = STEPS) -> MAML | FirstOrderMAML:
    """A learner whose two meta-parameters are θ."""
    learner = kind(nn.Identity(), features=1, outputs=1, inner_lr=INNER_LR, inner_steps=steps, adapt_steps=steps, family=Regression())
    with torch.no_grad():
        learner.head.weight.fill_(theta[0])
        learner.head.bias.fill_(theta[1])
    return learner


def path(theta: tuple[float, float]) -> np.ndarray:
    """Where the inner steps lead: (steps + 1, tasks, 2)."""
    batch, places = tasks(), [np.tile(theta, (3, 1))]
    for steps in range(1, STEPS + 1):
        adapted = learner_at(theta, steps=steps).eval().adapt(batch.support_x, batch.support_y)
        weights = adapted.parameters
        places.append(torch.stack([weights["head.weight"].reshape(3), weights["head.bias"].reshape(3)], -1).detach().numpy())
    return np.stack(places)


def outer_gradient(theta: tuple[float, float], kind: type[MAML | FirstOrderMAML]) -> np.ndarray:
    """What the outer loop is given: the gradient (2,) that `meta_backward` leaves."""
    learner = learner_at(theta, kind).train()
    learner.meta_backward(tasks(), progress=0.0)
    slopes = [learner.head.weight.grad, learner.head.bias.grad]
    return np.array([float(slope) for slope in slopes if isinstance(slope, Tensor)])


@cache
def surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """J(θ) on a grid: w (n,), b (m,) and J (m, n)."""
    w, b = np.linspace(-2.1, 2.4, 46), np.linspace(-1.8, 2.2, 41)
    batch, found = tasks(), np.empty((len(b), len(w)))
    for row, intercept in enumerate(b):
        for column, slope in enumerate(w):
            learner = learner_at((slope, intercept)).eval()
            answers = learner.predict(learner.adapt(batch.support_x, batch.support_y), batch.query_x)
            found[row, column] = float((answers - batch.query_y).square().mean())
    return w, b, found


def draw(theme: Theme) -> Figure:
    """The surface, θ, three adapted parameters with their steps, and the outer move, exact and of first order."""
    figure, (axes,) = new_plot(height=5.6)
    axes.contour(*surface(), levels=np.geomspace(0.12, 9, 12), colors=theme.muted, linewidths=0.7, alpha=0.8)
    steps = path(START)
    for task, colour in enumerate((theme.blue, theme.green, theme.violet)):
        axes.plot(*steps[:, task].T, color=colour, marker="o", markersize=4, linewidth=1.6, label=f"task {task + 1}: inner steps from θ")
        axes.scatter(*LINES[task], marker="*", s=150, color=colour, zorder=4)
    for kind, name, colour, style in (
        (MAML, "outer move, exact", theme.orange, "-"),
        (FirstOrderMAML, "outer move, first order", theme.red, "--"),
    ):
        w, b = np.array(START) - OUTER_LR * outer_gradient(START, kind)
        axes.annotate(
            "",
            (w, b),
            START,
            arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.4, "linestyle": style, "mutation_scale": 16},
            zorder=5,
        )
        axes.plot([], [], color=colour, linestyle=style, linewidth=2.4, label=name)
    axes.scatter(*START, s=70, color=theme.ink, zorder=6)
    axes.annotate("θ", START, (-9, -12), textcoords="offset points", fontsize=13)
    tidy(axes, theme, "slope w", "intercept b")
    axes.grid(visible=False)
    axes.set_aspect("equal")
    axes.plot([], [], marker="*", markersize=10, linestyle="none", color=theme.muted, label="solution of a task")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure
