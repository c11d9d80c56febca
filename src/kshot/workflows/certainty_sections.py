"""How sure a model is, as sections of its report: calibration, what waits for a person, sets, and what each guarantee is over.

In: a model, and answers for labelled things. Out: titles and HTML. Next: `kshot.workflows.model_report`.
"""

from collections.abc import Sequence

import numpy as np

from kshot.errors import RecipeError
from kshot.results.score.html_table import escaped
from kshot.short_repr import per_cent
from kshot.tasks.answers import judge_of
from kshot.tasks.certainty.asked import FALSE_ALARMS, Asked
from kshot.tasks.certainty.calibration import calibration_error, reliability, risk_by_coverage
from kshot.tasks.certainty.certainty import Certainty
from kshot.tasks.certainty.ranks import least_rate
from kshot.tasks.model import Model

COVERAGES = (0.8, 0.9, 0.95, 0.99)
_BINS = 10
_SIDE = 240
_MOST_POINTS = 200
_TEXT = 'style="fill:var(--soft);font:12px system-ui,sans-serif"'


def certainty_sections(model: Model, labels: np.ndarray, log_probabilities: np.ndarray, *, own: bool) -> list[tuple[str, str]]:
    """Return the sections; none if nothing could be scored.

    Args:
        model: The model.
        labels: The class of each thing, int64 (n,).
        log_probabilities: The answers, (n, N); NaN in rows that could not be scored.
        own: Whether the things are the model's own examples, each left out; else they are others.
    """
    scored = np.isfinite(log_probabilities).any(1)
    y, answers = labels[scored], log_probabilities[scored]
    if not len(y):
        return []
    return [
        ("Are the probabilities right?", _reliability(answers, y)),
        ("If only sure answers are taken", _risk(answers, y)),
        ("Sets that hold the right class", _sets(model, answers, y, own=own)),
        ("What the promises rest on", _promises(model)),
    ]


def _reliability(answers: np.ndarray, y: np.ndarray) -> str:
    found = reliability(answers, y, _BINS)
    most = max(one.things for one in found)
    points = "".join(
        f'<circle cx="{_SIDE * one.probability:.1f}" cy="{_SIDE - _SIDE * one.accuracy:.1f}" '
        f'r="{3 + 9 * (one.things / most) ** 0.5:.1f}" style="fill:var(--blue);fill-opacity:.6"/>'
        for one in found
    )
    diagonal = f'<line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0" style="stroke:var(--soft);stroke-dasharray:4 4"/>'
    return _diagram(diagonal + points, "probability", "share right", "Accuracy by probability") + (
        f'<p class="soft">A disc per range of probabilities, larger where more of the {len(y):,} things lie. On the line, answers are '
        "right as often as their probability says; above it, they are right more often. The mean gap is "
        f"{100 * calibration_error(answers, y):.1f} "
        "points (expected calibration error, 15 ranges).</p>"
    )


def _risk(answers: np.ndarray, y: np.ndarray) -> str:
    risk = risk_by_coverage(answers, y)
    n = len(risk)
    chosen = np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).astype(int))
    line = " ".join(f"{_SIDE * (place + 1) / n:.1f},{_SIDE * risk[place]:.1f}" for place in chosen)
    drawn = f'<polyline points="{line}" style="fill:none;stroke:var(--blue);stroke-width:2"/>'
    told = ", ".join(
        f"{per_cent(1 - float(risk[max(0, round(share * n) - 1)]))} % of the surest {100 * share:g} %" for share in (0.5, 0.8, 0.9)
    )
    return _diagram(drawn, "share answered", "share right", "Accuracy of the surest answers") + (
        f'<p class="soft">Right are {told}, and {per_cent(1 - float(risk[-1]))} % of all. The others can wait for a person.</p>'
    )


def _sets(model: Model, answers: np.ndarray, y: np.ndarray, *, own: bool) -> str:
    rows = []
    for coverage in COVERAGES:
        try:
            judge = judge_of(model, Asked(coverage=coverage))
        except RecipeError:
            rows.append(_row(f"{coverage:g}", "–", "–", "too few examples"))
            continue
        sets = judge.sets(answers)
        assert sets is not None
        sizes = sets.sum(1)
        covered = float(sets[np.arange(len(y)), y].mean())
        rows.append(_row(f"{coverage:g}", f"{covered:.3f}", f"{sizes.mean():.2f}", f"{per_cent(float((sizes == 1).mean()))} %"))
    head = "".join(f'<th scope="col">{word}</th>' for word in ("asked", "covered here", "mean size", "of one label"))
    why = " Left-out answers come from one example less per class, so a little less is covered here than the model covers." if own else ""
    return (
        f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
        f'<p class="soft"><code>kshot predict MODEL … --coverage 0.9</code> gives each thing a set of classes, at least one.{why}</p>'
    )


def _promises(model: Model) -> str:
    told = model.certainty
    if told is None:
        return f"<p>{escaped(judge_of(model).notes[0].capitalize())}</p>"
    parts = [_coverage_words(told), _unknown_words(told)]
    return "".join(f"<p>{part}</p>" for part in parts) + (
        "<p>Both are averages over things that are drawn as the examples were. They are no promise for a single class, nor for things of "
        "another origin: label some of those and ask <code>kshot estimate</code>.</p>"
    )


def _coverage_words(told: Certainty) -> str:
    m = len(told.own)
    if not m:
        return "<b>Sets</b>: none, because no class has two examples."
    how = (
        "The threshold is corrected for the example that a left-out answer misses, which is measured and no proof"
        if len(told.fewer)
        else "Left-out answers come from fewer examples than the model has, so sets cover a little more than is asked"
    )
    return f"<b>Sets</b>: learnt from {m:,} left-out examples, which can promise a coverage of {1 - least_rate(m):.3g} at most. {how}."


def _unknown_words(told: Certainty) -> str:
    n = len(told.familiar)
    if least_rate(n) > FALSE_ALARMS:
        return (
            f"<b>Unknown</b>: {n:,} left-out examples are too few for a false-alarm rate of {FALSE_ALARMS:g}, so nothing is called unknown."
        )
    return (
        f"<b>Unknown</b>: a thing that is less familiar than all but {100 * FALSE_ALARMS:g} % of {n:,} left-out examples. So about "
        f"{100 * FALSE_ALARMS:g} % of things of known classes are called unknown; how many of others are, depends on how near they lie."
    )


def _row(*cells: str) -> str:
    first, *others = cells
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _diagram(drawn: str, across: str, up: str, label: str) -> str:
    """Return a square diagram of shares from 0 to 1."""
    ends: Sequence[tuple[float, float, str, str]] = (
        (0, _SIDE + 16, "start", "0"),
        (_SIDE, _SIDE + 16, "end", "1"),
        (_SIDE / 2, _SIDE + 16, "middle", across),
        (-6, _SIDE, "end", "0"),
        (-6, 10, "end", "1"),
    )
    texts = "".join(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {_TEXT}>{word}</text>' for x, y, anchor, word in ends)
    side = f'<text transform="translate(-16 {_SIDE / 2:g}) rotate(-90)" text-anchor="middle" {_TEXT}>{up}</text>'
    return (
        f'<svg viewBox="-34 -14 {_SIDE + 48} {_SIDE + 36}" role="img" aria-label="{escaped(label)}" '
        'style="display:block;width:100%;max-width:22rem;margin:0 auto">'
        f'<rect width="{_SIDE}" height="{_SIDE}" style="fill:none;stroke:var(--line)"/>{drawn}{texts}{side}</svg>'
    )
