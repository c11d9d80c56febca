"""The commands for a user's own things: predict, and what `kshot show` says of a model.

Each reads its flags, calls `kshot.tasks`, and shows the result. Predicting with a fitted model imports neither PyTorch nor scikit-learn nor
pandas. Next: `kshot.cli`, which lists these commands beside its own.
"""

from pathlib import Path
from typing import Annotated

import typer

from kshot.errors import RecipeError
from kshot.flags import refuse_given

_Text = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the texts. Default: found by its name.")]
_Path = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the pictures' paths. Default: found by its name.")]
_Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first thing that cannot be read.")]


def predict(
    context: typer.Context,
    saved: Annotated[str, typer.Argument(metavar="MODEL", help="A model of kshot fit; with --support, a run or a saved learner.")],
    queries: Annotated[
        list[str], typer.Argument(metavar="INPUT…", help="Files, folders, patterns, tables, texts; - reads standard input.")
    ],
    support: Annotated[
        Path | None, typer.Option(help="For a saved learner: a folder with one folder per class, each with one or more pictures.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the answers into this .csv or .jsonl file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line and nothing else on standard output.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add the probability of every class to JSON and --out.")] = False,
    text: _Text = None,
    path: _Path = None,
    form: Annotated[str | None, typer.Option(help="Form of standard input: csv, tsv, jsonl or lines.")] = None,
    strict: _Strict = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …; auto uses a GPU for a saved learner, if there is one.")] = "auto",
) -> None:
    """Label things with a fitted model; or pictures with a saved learner, from a few examples of each class.

    What cannot be read is answered with the reason, and the exit code is then 2.
    """
    from kshot.labelling import Labelling, label_with_learner, label_with_model
    from kshot.tasks.model_folder import load_model

    show_as = Labelling(out, as_json, probabilities, strict)
    if support is not None:
        refuse_given(context, "with --support, queries are pictures", "text path form")
        label_with_learner(saved, support, queries, show_as, device)
        return
    _check_is_model(saved)
    on = "cpu" if device == "auto" else device
    label_with_model(load_model(saved), queries, show_as, on, text=text, path=path, form=form)


def show_model(folder: str, *, as_json: bool) -> None:
    """Print what a model is: its classes, encoder and head, and how well it does."""
    from kshot.tables import show_rows
    from kshot.tasks.model_folder import load_model
    from kshot.terminal import print_json
    from kshot.workflows.model_description import described, rows_of

    model = load_model(folder)
    if as_json:
        print_json(described(model))
    else:
        show_rows(rows_of(model), folder)


def _check_is_model(saved: str) -> None:
    from kshot.tasks.model_folder import is_model

    if not is_model(saved):
        raise RecipeError(
            f"{saved} is not a model that kshot fit has written. Make one: kshot fit EXAMPLES -o MODEL. To label pictures with a saved "
            "learner, add --support FOLDER, with one folder per class."
        )
