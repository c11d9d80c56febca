"""The commands for the labels of a user's own things: which to give next (suggest), and which to look at again (doubt).

Each reads its flags, calls `kshot.tasks.labels`, and shows the result. Next: `kshot.cli`, which lists them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kshot.errors import RecipeError
from kshot.flags import EncoderDevice, FittedModel, PathColumn, Strict, TextColumn
from kshot.standard_input import standard_input

if TYPE_CHECKING:
    from kshot.tasks.queries import Query

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line and nothing else on standard output.")]
_Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write the rows into this .csv or .jsonl file, in the place of one that is there."),
]


def suggest(
    model: FittedModel,
    things: Annotated[
        list[str], typer.Argument(metavar="UNLABELLED…", help="Files, folders, patterns, tables, texts; - reads standard input.")
    ],
    count: Annotated[int, typer.Option(metavar="N", help="How many things to suggest.")] = 10,
    out: _Out = None,
    as_json: _Json = False,
    text: TextColumn = None,
    path: PathColumn = None,
    form: Annotated[str | None, typer.Option(help="Form of standard input: csv, tsv, jsonl or lines.")] = None,
    strict: Strict = False,
    device: EncoderDevice = "cpu",
) -> None:
    """Suggest what to label next: of things without labels, those whose labels would help a model most.

    They are things that the model is undecided about, far from its examples and unlike each other. What cannot be read is shown with the
    reason, and the exit code is then 2.
    """
    from kshot.encoders.vector_cache import VectorCache
    from kshot.labelling import Labelling, answers_shown
    from kshot.tables import show_suggestion
    from kshot.tasks.answer_file import check_answer_file
    from kshot.tasks.labels.suggest import check_count
    from kshot.tasks.labels.suggest_queries import SUGGESTED_COLUMNS, SuggestedQueries
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.model_folder import load_model
    from kshot.tasks.queries import TableForm, files_named, queries_of
    from kshot.terminal import complain, say

    check_count(count)
    _check_has_classes(model, "suggests nothing to label")
    known = load_model(model)
    if out is not None:
        check_answer_file(out, files_named(things))
    encoder = encoder_of(known, device)
    reads = known.encoder.reads
    table = TableForm(reads, tuple(known.columns.get("things", ())), text, path, form)
    queries = _counted(queries_of(things, table, standard_input()), f"{reads} read")
    found = SuggestedQueries(known, encoder, queries, count, cache=VectorCache())
    unread = 0
    with answers_shown(show_suggestion, Labelling(out, as_json, strict=strict), SUGGESTED_COLUMNS) as write:
        for one in found:
            unread += bool(one.error)
            write(one)
    if out is not None:
        say(f"The suggestions are in {out}")
    if sentence := found.in_words():
        say(sentence)
    if unread:
        what = "1 thing" if unread == 1 else f"{unread:,} things"
        complain(f"{what} cannot be read; the reason is in the row of each. The others were compared.")
        raise typer.Exit(2)


def doubt(
    model: FittedModel,
    count: Annotated[int, typer.Option(metavar="N", help="How many labels, and how many near-duplicates, to list at most.")] = 20,
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """List the examples of a model whose labels are probably wrong, the most doubtful first; and examples that are nearly the same."""
    from kshot.labelling import Labelling, answers_shown
    from kshot.tables import show_doubtful
    from kshot.tasks.answer_file import check_answer_file
    from kshot.tasks.labels.doubt import doubts
    from kshot.tasks.labels.doubtful import DOUBT_COLUMNS, doubtful_rows
    from kshot.tasks.model_folder import load_model
    from kshot.terminal import say

    if count < 1:
        raise RecipeError(f"--count must be 1 or more; found {count:,}.")
    _check_has_classes(model, "doubts no labels")
    known = load_model(model)
    if out is not None:
        check_answer_file(out)
    found = doubts(known)
    with answers_shown(show_doubtful, Labelling(out, as_json), DOUBT_COLUMNS) as write:
        for row in doubtful_rows(known, found, count):
            write(row)
    if out is not None:
        say(f"The list is in {out}")
    say(found.in_words(len(known.labels)))
    if known.tuned is not None:
        say("Note: the encoder of this model was tuned on these labels, so it has learnt some of their mistakes, which are then not found.")


def _counted(queries: "Iterable[Query]", what: str) -> "Iterator[Query]":
    """Show a bar over queries; it ends with them, before the first suggestion is shown."""
    from kshot.terminal import counting

    with counting(what, None) as progress:
        for query in queries:
            yield query
            progress(1)


def _check_has_classes(model: Path, otherwise: str) -> None:
    """Refuse a model of a quantity."""
    from kshot.tasks.regression.model import is_quantity_model

    if is_quantity_model(model):
        raise RecipeError(f"{model} is a model of a quantity, which has no classes, so kshot {otherwise}.")
