"""Loss curves of optimisers as a PNG picture: one frame per kind of function, the loss on a logarithmic scale.

In: `LossCurves`. Out: a file. Next: `kshot.running`.
"""

from pathlib import Path

import numpy as np

from kshot.figure import BLUE, COLOURS, band, count_axis, frame, key, new_figure, write_png
from kshot.results.score.loss_curves import LEARNED, LossCurves


def plot_curves(results: LossCurves, path: Path) -> Path:
    """Draw the mean over the seeds of every optimiser's loss, and the range of the seeds for the learned one.

    Args:
        results: The curves.
        path: The PNG file to write.

    Raises:
        SetupError: matplotlib is not installed.
        SavedError: The file cannot be written.
    """
    kinds = list(results.curves)
    columns = min(2, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = new_figure(5.2 * columns, 3.6 * rows)
    frames = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in frames[len(kinds) :]:
        axes.set_axis_off()
    for axes, kind in zip(frames, kinds, strict=False):
        others = iter(COLOURS[1:])
        for name, curve in results.curves[kind].items():
            steps = np.linspace(0, results.steps, curve.losses.shape[1])
            learned = name == LEARNED
            if learned:
                low, high = curve.losses.min(0).tolist(), curve.losses.max(0).tolist()
                band(axes, steps.tolist(), low, high, colour=BLUE, label="range of the seeds")
            label = name if curve.rate is None else f"{name}, rate {curve.rate:g}"
            mean = np.where(np.isfinite(curve.losses).all(0), curve.losses.mean(0), np.nan)
            axes.plot(steps, mean, color=BLUE if learned else next(others), linewidth=2.4 if learned else 1.4, label=label)
        if 0 < results.horizon < results.steps:
            axes.axvline(results.horizon, color="#9aa3ad", linewidth=1, linestyle=":")
        axes.set_yscale("log")
        frame(axes, "step", "loss on all data")
        count_axis(axes, "x")
        key(axes, kind, columns=2)
    return write_png(figure, path)
