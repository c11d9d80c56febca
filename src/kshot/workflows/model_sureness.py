"""How sure a fitted model is, in words and as plain values: its temperature, what its sets can promise, and what it calls unknown.

In: a `Model`. Out: rows of a table, and JSON. Next: `kshot.show_command`.
"""

import math
from typing import Any

from kshot.tasks.certainty.asked import FALSE_ALARMS
from kshot.tasks.certainty.certainty import one_label_covers
from kshot.tasks.certainty.ranks import least_rate, needed, threshold
from kshot.tasks.model import Model


def sureness(model: Model) -> dict[str, Any]:
    """Return what a model has learnt of its sureness, as plain JSON values; None where it has learnt nothing.

    `temperature` divides its logits. `left_out` is the number of examples that were left out and scored. Of sets, `most_coverage` is the
    most that can be promised, and `one_label` the share of things for which the most probable class is the right one. Of unknown things,
    `false_alarms` is the rate that `kshot predict` takes unless told otherwise, `threshold` the familiarity below which a thing is then
    called unknown, and `least_false_alarms` the lowest rate that can be asked for.
    """
    found: dict[str, Any] = {"temperature": model.head.temperature, "left_out": None, "most_coverage": None, "one_label": None}
    found |= {"false_alarms": FALSE_ALARMS, "threshold": None, "least_false_alarms": None}
    certainty = model.certainty
    if certainty is None:
        return found
    scored, familiar = len(certainty.own), len(certainty.familiar)
    found["left_out"] = scored
    if scored:
        found |= {"most_coverage": 1 - least_rate(scored), "one_label": one_label_covers(certainty)}
    if familiar:
        below = threshold(certainty.familiar, FALSE_ALARMS)
        found |= {"threshold": below if math.isfinite(below) else None, "least_false_alarms": least_rate(familiar)}
    return found


def rows_of_sureness(model: Model) -> list[tuple[str, str]]:
    """Describe how sure a model is as names and values."""
    found = sureness(model)
    rows = [("probabilities", f"calibrated by a temperature of {found['temperature']:.3g}{_from(found['left_out'])}")]
    if model.certainty is None:
        return [*rows, ("sets, unknown", "nothing is known: the model is of an older kshot. Fit it again.")]
    if not found["left_out"]:
        return [*rows, ("sets, unknown", "nothing can be promised: no class has two examples. Give a second example per class.")]
    sets = f"a coverage of up to {found['most_coverage']:.3g} can be promised; one label alone is right for about {found['one_label']:.3g}"
    if found["threshold"] is not None:
        unknown = (
            f"a familiarity below {found['threshold']:.3g}, at a false-alarm rate of {found['false_alarms']:g}; the least rate is "
            f"{found['least_false_alarms']:.2g}"
        )
    else:
        unknown = f"nothing: a false-alarm rate of {FALSE_ALARMS:g} needs {needed(FALSE_ALARMS):,} examples of classes with two"
    return [*rows, ("sets", sets), ("unknown", unknown)]


def _from(left_out: int | None) -> str:
    return f", fitted to {left_out:,} left-out examples" if left_out else ""
