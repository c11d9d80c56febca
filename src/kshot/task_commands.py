"""The commands that change or score a fitted model: `kshot add`, `remove`, `rename` and `estimate`.

Each reads its flags, calls `kshot.tasks`, and shows the result. Next: `kshot.cli`, which lists them.
"""

from typing import Annotated

import typer

from kshot.errors import RecipeError
from kshot.flags import Depth, EncoderDevice, FittedModel, Json, LabelColumn, PathColumn, Strict, TextColumn, refuse_given
from kshot.multi_label_commands import estimate_labels_of
from kshot.quantity_commands import estimate_quantity
from kshot.saving import report_on, save_fitted, write_alone


def add(
    context: typer.Context,
    model: FittedModel,
    name: Annotated[str, typer.Argument(metavar="CLASS", help="A class that the model knows, or a new one.")],
    examples: Annotated[list[str], typer.Argument(metavar="EXAMPLES…", help="Examples of this class: files, folders, tables or texts.")],
    strict: Strict = False,
    as_json: Json = False,
    device: EncoderDevice = "cpu",
) -> None:
    """Add examples to a model, of a class that it knows or of a new one. The estimate is renewed."""
    from kshot.encoders.vector_cache import VectorCache
    from kshot.tasks.examples import of_one_class
    from kshot.tasks.fit import add as add_to
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.model_folder import load_model

    if not name.strip():
        raise RecipeError("a class needs a name that is not empty.")
    write_alone(context, model)
    known = load_model(model)
    found = of_one_class(name, examples, known.encoder.reads, known.columns)
    save_fitted(model, add_to(known, encoder_of(known, device), found, cache=VectorCache(), strict=strict), as_json=as_json)


def remove(
    context: typer.Context,
    model: FittedModel,
    name: Annotated[str, typer.Argument(metavar="CLASS", help="A class of the model.")],
    as_json: Json = False,
) -> None:
    """Take a class out of a model. The estimate is renewed."""
    from kshot.tasks.fit import remove as remove_from
    from kshot.tasks.model_folder import load_model

    write_alone(context, model)
    save_fitted(model, remove_from(load_model(model), name), as_json=as_json)


def rename(
    context: typer.Context,
    model: FittedModel,
    old: Annotated[str, typer.Argument(metavar="CLASS", help="A class of the model.")],
    new: Annotated[str, typer.Argument(metavar="NAME", help="Its new name; that of another class joins the two.")],
    as_json: Json = False,
) -> None:
    """Give a class of a model another name."""
    from kshot.encoders.vector_cache import VectorCache
    from kshot.tasks.fit import rename as rename_in
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.model_folder import load_model

    write_alone(context, model)
    known = load_model(model)
    encoder = None if known.description_vectors is None else encoder_of(known)
    save_fitted(model, rename_in(known, old, new, encoder, cache=VectorCache()), as_json=as_json)


def estimate(
    context: typer.Context,
    model: FittedModel,
    examples: Annotated[str, typer.Argument(metavar="EXAMPLES", help="Labelled things: a folder of class folders, or a table.")],
    label: LabelColumn = None,
    text: TextColumn = None,
    path: PathColumn = None,
    depth: Depth = None,
    strict: Strict = False,
    report: Annotated[bool, typer.Option("--report", help="Write MODEL/estimate.html: the score, confusions, hardest things.")] = False,
    as_json: Json = False,
    device: EncoderDevice = "cpu",
) -> None:
    """Score a model on labelled things that it has not seen: accuracy with its 95 % interval, or a quantity's error."""
    from kshot.encoders.vector_cache import VectorCache
    from kshot.tables import show_rows
    from kshot.tasks.examples import Asked, find_examples
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.model_folder import SCORE, load_model
    from kshot.tasks.multi_label.model import is_multi_label_model
    from kshot.tasks.regression.model import is_quantity_model
    from kshot.tasks.scoring import score_model
    from kshot.terminal import print_json, say
    from kshot.workflows.model_description import rows_of_score

    if is_quantity_model(model):
        estimate_quantity(model, examples, Asked(label, text, path, depth, regression=True), strict=strict, report=report, as_json=as_json)
        return
    if is_multi_label_model(model):
        refuse_given(context, "a report is of one label per thing", "report")
        estimate_labels_of(model, examples, Asked(label, text, path, depth), device, strict=strict, as_json=as_json)
        return
    known = load_model(model)
    found = find_examples(examples, Asked(label, text, path, depth, True, known.encoder.reads, known=known.columns))
    scored = score_model(known, encoder_of(known, device), found, cache=VectorCache(), strict=strict)
    for note in scored.notes:
        say(f"Note: {note}")
    if as_json:
        print_json({**scored.estimate.as_dict(), "class_names": list(known.classes), "notes": list(scored.notes)})
    else:
        show_rows(rows_of_score(known, scored.estimate), f"{model} on {examples}", "score")
    if report:
        report_on(model / SCORE, known, scored.examples, scored.labels, scored.log_probabilities, scored.estimate)
