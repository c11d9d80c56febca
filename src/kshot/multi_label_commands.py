"""What the commands do with things that have several labels: fit, show and score a model of them, and label with it.

In: what the commands have read from their flags. Out: a model, lines, JSON. Next: `kshot.show_command`, `kshot.fit_command`,
`kshot.predict_command`, `kshot.task_commands`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kshot.standard_input import standard_input

if TYPE_CHECKING:
    from kshot.encoders.encoder import Encoder, PortableEncoder
    from kshot.labelling import Labelling
    from kshot.tasks.examples import Asked, Examples
    from kshot.tasks.multi_label.model import MultiLabelModel

_NAMED = 12


def fit_labels(
    out: Path, found: "Examples", encoder: "Encoder", portable: "PortableEncoder | None", *, strict: bool, as_json: bool
) -> None:
    """Fit a model of several labels per thing, write it, and print how good it is. The arguments are those of `kshot fit`."""
    from kshot.encoders.vector_cache import VectorCache
    from kshot.tables import show_rows
    from kshot.tasks.multi_label.fit import fit_multi_label
    from kshot.tasks.multi_label.model import save_multi_label_model
    from kshot.terminal import print_json, say

    fitted = fit_multi_label(found, encoder, cache=VectorCache(), strict=strict)
    save_multi_label_model(out, fitted.model, portable)
    for note in fitted.notes:
        say(f"Note: {note}")
    if as_json:
        print_json({**_described(fitted.model), "notes": list(fitted.notes)})
    else:
        show_rows(_rows_of(fitted.model), str(out), "estimate")
        say(f"The model is {out}. To label things: kshot predict {out} INPUT…")


def label_with_labels(
    model: "MultiLabelModel",
    words: Sequence[str],
    show_as: "Labelling",
    device: str,
    *,
    text: str | None,
    path: str | None,
    form: str | None,
) -> None:
    """Write the labels of each thing, as `kshot.labelling.label_with_model` writes classes."""
    from kshot.encoders.vector_cache import VectorCache
    from kshot.labelling import write_answers
    from kshot.tables import show_labels
    from kshot.tasks.answer_file import check_answer_file
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.multi_label.answers import labels_columns, labels_each
    from kshot.tasks.queries import TableForm, files_named, queries_of

    if show_as.file is not None:
        check_answer_file(show_as.file, files_named(words))
    reads = model.encoder.reads
    table = TableForm(reads, tuple(model.columns["things"]), text, path, form)
    queries = queries_of(words, table, standard_input())
    answers = labels_each(model, encoder_of(model, device), queries, cache=VectorCache())
    named = labels_columns(model.classes, probabilities=show_as.probabilities)
    write_answers(answers, show_labels, reads, None, show_as, columns=named)


def estimate_labels_of(folder: Path, source: str, asked: "Asked", device: str, *, strict: bool, as_json: bool) -> None:
    """Print how good a model is on things with known labels. The arguments are those of `kshot estimate`."""
    from dataclasses import replace

    from kshot.encoders.vector_cache import VectorCache
    from kshot.tables import show_rows
    from kshot.tasks.examples import find_examples
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.multi_label.fit import score_multi_label
    from kshot.tasks.multi_label.model import load_multi_label_model
    from kshot.terminal import print_json, say

    model = load_multi_label_model(folder)
    found = find_examples(source, replace(asked, multi_label=True, reads=model.encoder.reads, known=model.columns))
    scored = score_multi_label(model, encoder_of(model, device), found, cache=VectorCache(), strict=strict)
    for note in scored.notes:
        say(f"Note: {note}")
    if as_json:
        print_json({**scored.estimate.as_dict(), "class_names": list(model.classes), "notes": list(scored.notes)})
    else:
        show_rows([("score", str(scored.estimate))], f"{folder} on {source}", "score")


def show_labels_model(folder: str, *, as_json: bool) -> None:
    """Print what a model of several labels per thing is, and how good it is."""
    from kshot.tables import show_rows
    from kshot.tasks.multi_label.model import load_multi_label_model
    from kshot.terminal import print_json

    model = load_multi_label_model(folder)
    if as_json:
        print_json(_described(model))
    else:
        show_rows(_rows_of(model), folder)


def _described(model: "MultiLabelModel") -> dict[str, Any]:
    encoder = model.encoder
    return {
        "reads": encoder.reads,
        "multi_label": True,
        "classes": model.counts,
        "thresholds": dict(zip(model.classes, map(float, model.thresholds), strict=True)),
        "examples": len(model.names),
        "encoder": {"name": encoder.name, "features": encoder.features, "fingerprint": encoder.fingerprint},
        "head": {"name": "one_vs_rest", "feature_map": model.head.feature_map, "settings": dict(model.head.settings)},
        "estimate": model.findings["estimate"],
    }


def _rows_of(model: "MultiLabelModel") -> list[tuple[str, str]]:
    from kshot.tasks.multi_label.estimate import labels_estimate_from
    from kshot.workflows.model_description import things

    counts, encoder = model.counts, model.encoder
    classes = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:_NAMED])
    more = f" and {len(counts) - _NAMED:,} more" if len(counts) > _NAMED else ""
    of = encoder.provenance
    origin = of.source if of.licence == "none" else f"{of.licence}; {of.source}"
    low, high = model.thresholds.min(), model.thresholds.max()
    return [
        ("labels", f"{len(counts):,}: {classes}{more}; {model.targets.sum() / len(model.names):.2g} per thing"),
        ("examples", f"{len(model.names):,} {things(encoder.reads)}"),
        ("encoder", f"{encoder.name}, {encoder.features:,} features ({origin})"),
        ("fingerprint", encoder.fingerprint),
        ("heads", f"one per label, against the rest; a label is given from a probability of {low:.2f} to {high:.2f} on, each its own"),
        ("estimate", str(labels_estimate_from(model.findings["estimate"]))),
    ]
