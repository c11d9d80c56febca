"""What a fitted model is, in words and as plain values: `kshot fit`, `kshot show` and the report print it.

In: a `Model`. Out: rows of a table, and JSON. Next: `kshot.saving`, `kshot.show_command`.
"""

from typing import Any

from kshot.tasks.estimate import Estimate, estimate_from_dict
from kshot.tasks.model import Model

_NAMED = 12
_WORST = 5


def described(model: Model) -> dict[str, Any]:
    """Describe a model as plain JSON values."""
    encoder = model.encoder
    return {
        "reads": encoder.reads,
        "classes": model.counts,
        "examples": len(model.labels),
        "encoder": {
            "name": encoder.name,
            "features": encoder.features,
            "fingerprint": encoder.fingerprint,
            "licence": encoder.provenance.licence,
            "source": encoder.provenance.source,
            "package": encoder.provenance.package,
        },
        "head": {"name": model.head_name, "feature_map": model.head.feature_map, "settings": dict(model.head.settings)},
        "descriptions": {name: list(sentences) for name, sentences in model.descriptions.items()},
        "estimate": model.findings["estimate"],
        "choice": model.findings["choice"],
        "tuned": model.findings.get("tuned"),
        "weights": model.weights.as_dict() if model.weights.asked else None,
    }


def estimate_of(model: Model) -> Estimate:
    """Return the estimate that was made when the model was fitted."""
    return estimate_from_dict(model.findings["estimate"])


def things(reads: str) -> str:
    """Name in the plural what an encoder reads."""
    return "rows of numbers" if reads == "numbers" else reads


def rows_of(model: Model) -> list[tuple[str, str]]:
    """Describe a model as names and values."""
    counts = model.counts
    classes = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:_NAMED])
    more = f" and {len(counts) - _NAMED:,} more" if len(counts) > _NAMED else ""
    encoder = model.encoder
    of = encoder.provenance
    origin = of.source if of.licence == "none" else f"{of.licence}; {of.source}"
    return [
        ("classes", f"{len(counts):,}: {classes}{more}"),
        ("examples", f"{len(model.labels):,} {things(encoder.reads)}"),
        ("encoder", f"{encoder.name}, {encoder.features:,} features ({origin})"),
        ("fingerprint", encoder.fingerprint),
        *([("descriptions", _descriptions(model))] if model.descriptions else []),
        ("head", model.findings["head"].removeprefix("Head: ")),
        *([("weights", str(model.weights))] if model.weights.asked else []),
        *([("tuning", model.findings["tuned"]["said"])] if "tuned" in model.findings else []),
        ("estimate", str(estimate_of(model))),
    ]


def _descriptions(model: Model) -> str:
    name, (sentence, *_) = next(iter(model.descriptions.items()))
    several = f"{len(model.descriptions):,} of {len(model.classes):,} classes"
    return f"{several}, such as {name}: {sentence}"


def rows_of_score(model: Model, found: Estimate) -> list[tuple[str, str]]:
    """Describe a score on labelled things as names and values: the worst classes and the most frequent mistakes."""
    asked = found.confusion.sum(1)
    right = found.confusion.diagonal()
    missed = [place for place in range(len(asked)) if right[place] < asked[place]]
    worst = sorted(missed, key=lambda place: found.class_accuracy[place])[:_WORST]
    rows = [("score", str(found))]
    if worst:
        named = (f"{model.classes[place]} {right[place]:,} of {asked[place]:,}" for place in worst)
        rows.append(("hardest classes", ", ".join(named)))
    if mistakes := found.most_confused(_WORST):
        told = (f"{model.classes[true]} taken for {model.classes[other]} {count:,}×" for true, other, count in mistakes)
        rows.append(("mistakes", ", ".join(told)))
    return rows
