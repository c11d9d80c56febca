"""What a fitted model is, in words and as plain values: `kshot fit` and `kshot show` print it.

In: a `Model`. Out: rows of a table, and JSON. Next: `kshot.task_commands`.
"""

from typing import Any

from kshot.tasks.model import Model

_NAMED = 12


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
        **model.findings,
    }


def rows_of(model: Model) -> list[tuple[str, str]]:
    """Describe a model as names and values."""
    counts = model.counts
    classes = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:_NAMED])
    more = f" and {len(counts) - _NAMED:,} more" if len(counts) > _NAMED else ""
    encoder = model.encoder
    return [
        ("classes", f"{len(counts):,}: {classes}{more}"),
        ("examples", f"{len(model.labels):,} {encoder.reads}"),
        ("encoder", f"{encoder.name}, {encoder.features} features ({encoder.provenance.licence}, {encoder.provenance.source})"),
        ("head", f"{model.head_name}, on features: {model.head.feature_map}"),
        ("estimate", str(model.findings.get("estimate"))),
    ]
