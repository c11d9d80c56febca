"""What a model of a quantity is, in words and as plain values; and its report, one HTML page that needs nothing else.

In: a `QuantityModel`, and answers for rows whose values are known. Out: rows of a table, JSON, a file. Next: `kshot.quantity_commands`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atomic import write_text
from kshot.results.score.html_table import escaped
from kshot.results.show.page_frame import Headline, framed
from kshot.tasks.examples import Examples
from kshot.tasks.numbers.column_table import row_in_words
from kshot.tasks.regression.estimate import ErrorEstimate, error_estimate_from_dict
from kshot.tasks.regression.model import QuantityModel

LARGEST = 20
"""Rows with the largest errors that the page shows."""
MOST_POINTS = 2_000
"""Points of the picture; of more rows, evenly spaced ones are drawn."""
_SHOWN_VALUES = 12
_SIDE = 320


def described_quantity(model: QuantityModel) -> dict[str, Any]:
    """Describe a model as plain JSON values."""
    return {
        "reads": "numbers",
        "target": model.target,
        "examples": len(model.targets),
        "columns": [one.name for one in model.columns.columns],
        "features": model.columns.features,
        "regressor": {"name": model.regressor_name, "settings": dict(model.regressor.settings)},
        "estimate": model.findings["estimate"],
        "choice": model.findings["choice"],
    }


def rows_of_quantity(model: QuantityModel) -> list[tuple[str, str]]:
    """Describe a model as names and values."""
    low, high = model.targets.min(), model.targets.max()
    rows = [
        ("target", f"{model.target}, from {low:.6g} to {high:.6g}, mean {model.targets.mean():.6g}"),
        ("examples", f"{len(model.targets):,} rows of numbers"),
        ("columns", f"{len(model.columns.columns):,}, {model.columns.features:,} features"),
        ("regressor", model.findings["regressor"]),
        ("estimate", str(error_estimate_from_dict(model.findings["estimate"]))),
    ]
    optimism = model.findings["choice"]["optimism"]
    if isinstance(optimism, float) and optimism > 0:
        rows.append(("of choosing", f"the RMSE is too small by about {optimism:.2g}, because the settings were chosen by it"))
    return rows


def write_quantity_report(
    file: Path,
    model: QuantityModel,
    examples: Examples,
    targets: np.ndarray,
    answers: np.ndarray,
    *,
    score: ErrorEstimate | None,
    rows: Sequence[tuple[str, str]],
) -> None:
    """Write the page.

    Args:
        file: The HTML file.
        model: The model.
        examples: The n rows that were answered.
        targets: Their values, float64 (n,).
        answers: The answers, float64 (n,).
        score: The error on rows that the model has not seen; None: the rows are its own examples, each left out.
        rows: Names and values of the table at the end.

    Raises:
        SavedError: The disk refused the file.
    """
    found = score or error_estimate_from_dict(model.findings["estimate"])
    whose = "each of its own rows answered without having been seen" if score is None else "on rows that it has not seen"
    page = framed(
        f"{file.parent.name}: {model.target}",
        Headline(
            f"{found.mae:.4g}",
            f"is the mean absolute error of {model.target!r}, {whose}. Always answering the mean: {found.mae_of_mean:.4g}.",
            str(found),
        ),
        [
            ("Truth and prediction", _picture(targets, answers, model.target)),
            ("The largest errors", _largest(examples, targets, answers)),
        ],
        "The model",
        rows,
        style=_OWN,
        dark=True,
    )
    write_text(file, page)


def _picture(targets: np.ndarray, answers: np.ndarray, name: str) -> str:
    """Draw truth against prediction as SVG."""
    chosen = np.unique(np.linspace(0, len(targets) - 1, min(len(targets), MOST_POINTS)).astype(int))
    low = float(min(targets.min(), answers.min()))
    span = float(max(targets.max(), answers.max())) - low or 1.0
    across, up = _SIDE * (targets[chosen] - low) / span, _SIDE - _SIDE * (answers[chosen] - low) / span
    points = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in zip(across, up, strict=True))
    ends = f"{low:.4g}", f"{low + span:.4g}"
    some = f" {len(chosen):,} of {len(targets):,} rows are drawn." if len(chosen) < len(targets) else ""
    return (
        f'<svg viewBox="-50 -8 {_SIDE + 62} {_SIDE + 52}" role="img" aria-label="Predictions of {escaped(name)} against its true values">'
        f'<rect width="{_SIDE}" height="{_SIDE}"/><line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0"/>{points}'
        f'<text x="0" y="{_SIDE + 18}">{ends[0]}</text><text x="{_SIDE}" y="{_SIDE + 18}" text-anchor="end">{ends[1]}</text>'
        f'<text x="{_SIDE / 2}" y="{_SIDE + 36}" text-anchor="middle">truth</text>'
        f'<text x="-6" y="{_SIDE}" text-anchor="end">{ends[0]}</text><text x="-6" y="10" text-anchor="end">{ends[1]}</text>'
        f'<text transform="translate(-34 {_SIDE / 2}) rotate(-90)" text-anchor="middle">prediction</text></svg>'
        f'<p class="soft">A point per row; on the line, the prediction is the truth.{some}</p>'
    )


def _largest(examples: Examples, targets: np.ndarray, answers: np.ndarray) -> str:
    errors = answers - targets
    order = np.argsort(-np.abs(errors), kind="stable")[:LARGEST]
    head = "".join(f'<th scope="col">{word}</th>' for word in ("row", "truth", "prediction", "error", "its values"))
    body = "".join(
        f'<tr><th scope="row">{escaped(examples.names[k])}</th><td>{targets[k]:.6g}</td><td>{answers[k]:.6g}</td>'
        f'<td>{errors[k]:+.4g}</td><td class="values">{escaped(_values(examples.things[k]))}</td></tr>'
        for k in order
    )
    return f'<div class="wide"><table class="errors"><tr>{head}</tr>{body}</table></div>'


def _values(thing: Any) -> str:
    return row_in_words(thing, _SHOWN_VALUES)


_OWN = """
  svg { display: block; width: 100%; max-width: 30rem; margin: 0 auto; font: 12px system-ui, sans-serif; }
  svg rect { fill: none; stroke: var(--line); }
  svg line { stroke: var(--soft); stroke-dasharray: 4 4; }
  svg circle { fill: var(--blue); fill-opacity: .5; }
  svg text { fill: var(--soft); }
  .errors th { width: auto; }
  .errors td { white-space: nowrap; }
  .errors .values { white-space: normal; min-width: 12rem; color: var(--soft); font-size: .85rem; }
"""
