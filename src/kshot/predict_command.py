"""The command `kshot predict`: it labels things with a fitted model, or pictures with a saved learner.

Predicting with a fitted model imports neither PyTorch nor scikit-learn nor pandas. Next: `kshot.cli`, which lists it.
"""

from pathlib import Path
from typing import Annotated

import typer

from kshot.errors import RecipeError
from kshot.flags import PathColumn, Strict, TextColumn, refuse_given
from kshot.multi_label_commands import label_with_labels


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
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write the answers into this .csv or .jsonl file, in the place of one that is there."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line and nothing else on standard output.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add the probability of every class to JSON and --out.")] = False,
    coverage: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Add a set of classes that holds the right one at this rate, such as 0.9.")
    ] = None,
    unknown: Annotated[
        float | None, typer.Option(metavar="RATE", help="Share of things of known classes that may be called unknown. Default: 0.05.")
    ] = None,
    text: TextColumn = None,
    path: PathColumn = None,
    form: Annotated[str | None, typer.Option(help="Form of standard input: csv, tsv, jsonl or lines.")] = None,
    strict: Strict = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …; auto uses a GPU for a saved learner, if there is one.")] = "auto",
) -> None:
    """Label things with a fitted model; or pictures with a saved learner, from a few examples of each class.

    What cannot be read is answered with the reason, and the exit code is then 2.
    """
    from kshot.labelling import Labelling, answer_with_quantity, label_with_learner, label_with_model
    from kshot.tasks.certainty.asked import Asked
    from kshot.tasks.model_folder import load_model
    from kshot.tasks.multi_label.model import is_multi_label_model, load_multi_label_model
    from kshot.tasks.regression.model import is_quantity_model, load_quantity_model

    show_as = Labelling(out, as_json, probabilities, strict, Asked(coverage, unknown))
    if support is not None:
        refuse_given(context, "with --support, queries are pictures", "text path form")
        label_with_learner(saved, support, queries, show_as, device)
        return
    _check_is_model(saved)
    if is_quantity_model(saved):
        refuse_given(
            context, f"{saved} is a model of a quantity, which answers rows with values", "text path probabilities coverage unknown"
        )
        answer_with_quantity(load_quantity_model(saved), queries, show_as, form)
        return
    on = "cpu" if device == "auto" else device
    if is_multi_label_model(saved):
        if coverage is not None or unknown is not None:
            flag = "--coverage" if coverage is not None else "--unknown"
            raise RecipeError(
                f"{flag} is for models of one label per thing; {saved} gives a thing each label whose probability reaches its threshold, "
                f"several or none, so no set has one right label to hold. Leave {flag} out."
            )
        label_with_labels(load_multi_label_model(saved), queries, show_as, on, text=text, path=path, form=form)
        return
    label_with_model(load_model(saved), queries, show_as, on, text=text, path=path, form=form)


def _check_is_model(saved: str) -> None:
    from kshot.tasks.model_record import is_model

    if not is_model(saved):
        from kshot.saved.shipped import refuse_optimizer

        refuse_optimizer(saved)
        raise RecipeError(
            f"{saved} is not a model that kshot fit has written. Make one: kshot fit EXAMPLES -o MODEL. To label pictures with a saved "
            "learner, add --support FOLDER, with one folder per class."
        )
