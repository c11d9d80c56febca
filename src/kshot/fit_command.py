"""The command `kshot fit`: from labelled examples to a model. Next: `kshot.cli`, which lists it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kshot.errors import RecipeError
from kshot.flags import Depth, EncoderDevice, Json, LabelColumn, PathColumn, Strict, TextColumn, refuse_given
from kshot.multi_label_commands import fit_labels
from kshot.quantity_commands import fit_table
from kshot.saving import report_on, save_fitted, write_alone

if TYPE_CHECKING:
    from kshot.encoders.encoder import Encoder, PortableEncoder
    from kshot.tasks.class_weights import ClassWeights
    from kshot.tasks.examples import Examples


def fit(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="MODEL", help="Folder of the model.")],
    examples: Annotated[
        str | None,
        typer.Argument(metavar="EXAMPLES", help="A folder of class folders, or a table: CSV, TSV, JSONL, Parquet, .npy, .npz …"),
    ] = None,
    descriptions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A TOML file with a line per class: name = 'a sentence'. With it, EXAMPLES may be left out."),
    ] = None,
    head: Annotated[str | None, typer.Option("--with", metavar="HEAD", help="What tells the classes apart. Default: chosen.")] = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="What reads the things. Default: the usual one for them.")] = None,
    label: LabelColumn = None,
    text: TextColumn = None,
    path: PathColumn = None,
    depth: Depth = None,
    class_weight: Annotated[
        str | None,
        typer.Option(metavar="balanced|FILE", help="Weights of the classes: balanced, or a TOML file, class = what a mistake on it costs."),
    ] = None,
    prior: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file, class = its share where the model is used. Default: as in EXAMPLES.")
    ] = None,
    classes: Annotated[bool, typer.Option("--classes", help="The labels are names of classes, even if they are numbers.")] = False,
    regression: Annotated[bool, typer.Option("--regression", help="The labels are a quantity, such as a price, to be predicted.")] = False,
    multi_label: Annotated[
        bool,
        typer.Option("--multi-label", help="A thing may have several labels: a list in JSON Lines, or a text such as red|round."),
    ] = False,
    strict: Strict = False,
    self_contained: Annotated[
        bool, typer.Option("--self-contained", help="Write the encoder into the model, for machines where it is not installed.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Train the encoder on the examples, for minutes; it is kept if left-out examples say so.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a --tune that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Write MODEL/report.html: the estimate, confusions, hardest examples.")] = False,
    as_json: Json = False,
    device: EncoderDevice = "cpu",
) -> None:
    """Learn to tell your own things apart, from a few labelled examples: photographs, texts or rows of numbers.

    It prints what it found, how well the model does on examples that it did not see, and which head was chosen. With --descriptions, it
    needs no example.
    """
    from kshot.encoders.table import default_encoder
    from kshot.encoders.vector_cache import VectorCache
    from kshot.tasks.descriptions import read_descriptions
    from kshot.tasks.encoder_by_name import open_by_name
    from kshot.tasks.examples import Asked, find_examples
    from kshot.tasks.fit import fit as fit_model
    from kshot.tasks.fit import fit_descriptions, weigh
    from kshot.tasks.heads.table import head_named
    from kshot.tasks.model_folder import REPORT, check_output

    if resume and not tune:
        raise RecipeError("--resume goes on with a --tune that was stopped. Give both.")
    write_alone(context, out)
    check_output(out, overwrite=overwrite, resume=resume)
    if tune and (examples is None or regression):
        what = "there are none" if examples is None else "rows of numbers have no encoder to train"
        raise RecipeError(f"--tune trains the encoder of texts or photographs on EXAMPLES, and {what}. Leave it out.")
    if regression:
        if encoder is not None:
            raise RecipeError(f"--encoder {encoder} reads pictures or texts, and --regression numbers. Leave it out.")
        refuse_given(context, "--regression predicts a quantity, which has no classes", "class_weight prior")
        if examples is None or descriptions is not None:
            raise RecipeError(
                "--regression learns from a table of numbers, and descriptions are of classes. Give EXAMPLES, a table, alone."
            )
        found = find_examples(examples, Asked(label, text, path, depth, classes, regression=True))
        fit_table(out, found, head, strict=strict, report=report, as_json=as_json)
        return
    if multi_label:
        refuse_given(
            context, "--multi-label fits one head per label of a table", "head descriptions class_weight prior depth classes tune report"
        )
        if examples is None:
            raise RecipeError("--multi-label learns from a table with a column of labels. Give EXAMPLES.")
        found = find_examples(examples, Asked(label, text, path, multi_label=True))
        opened = _opened(encoder, found, device)
        portable = _portable(opened) if self_contained and found.reads != "numbers" else None
        fit_labels(out, found, opened, portable, strict=strict, as_json=as_json)
        return
    if head is not None:
        head_named(head)
    weights = _weights(class_weight, prior)
    if weights.asked and tune:
        raise RecipeError("--tune judges encoders without weights of the classes. Leave out --tune, or --class-weight and --prior.")
    sentences = None if descriptions is None else read_descriptions(descriptions)
    if examples is None:
        if sentences is None:
            raise RecipeError("there is nothing to learn from. Give EXAMPLES, a folder or a table; or --descriptions FILE; or both.")
        refuse_given(context, "without EXAMPLES, there are none to read", "label text path depth classes class_weight prior strict report")
        only = open_by_name(encoder or default_encoder("texts"), device=device)
        portable = _portable(only) if self_contained else None
        save_fitted(out, fit_descriptions(only, sentences, head=head, cache=VectorCache()), portable, as_json=as_json)
        _say_next(out, only.reads, as_json=as_json)
        return
    found = find_examples(examples, Asked(label, text, path, depth, classes))
    opened = _opened(encoder, found, device)
    portable = _portable(opened) if self_contained and found.reads != "numbers" else None
    if tune:
        from kshot.running import fit_with_tuning

        fitted, tuned = fit_with_tuning(out, found, opened, head=head, sentences=sentences, strict=strict, resume=resume, device=device)
        portable = tuned or portable
    else:
        fitted = fit_model(found, opened, head=head, sentences=sentences, cache=VectorCache(), strict=strict)
        fitted = weigh(fitted, weights) if weights.asked else fitted
    save_fitted(out, fitted, portable, as_json=as_json)
    if report:
        assert fitted.examples is not None
        report_on(out / REPORT, fitted.model, fitted.examples, fitted.model.labels, fitted.log_probabilities, None)
    _say_next(out, found.reads, as_json=as_json)


def _weights(class_weight: str | None, prior: Path | None) -> "ClassWeights":
    """Read the weights of classes that are asked for."""
    from kshot.tasks.class_weights import BALANCED, ClassWeights, read_weights

    weight = class_weight if class_weight in (None, BALANCED) else read_weights(Path(class_weight), "weights")
    return ClassWeights(weight, None if prior is None else read_weights(prior, "shares"))


def _opened(name: str | None, found: "Examples", device: str) -> "Encoder":
    """Open the encoder that is named, or the usual one; of numbers, the one that the columns make."""
    from kshot.encoders.table import default_encoder
    from kshot.tasks.encoder_by_name import open_by_name
    from kshot.tasks.numbers.columns import fit_columns
    from kshot.tasks.numbers.number_encoder import NumberEncoder

    if found.reads == "numbers":
        if name is not None:
            raise RecipeError(f"--encoder {name} reads pictures or texts, and these are numbers, which need none. Leave it out.")
        return NumberEncoder(fit_columns(found.things, found.columns["things"]))
    return open_by_name(name if name is not None else default_encoder(found.reads), device=device)


def _portable(encoder: "Encoder") -> "PortableEncoder":
    """Return an encoder that can be written into a model."""
    from kshot.encoders.joined import JoinedEncoder, portable_parts

    (whole, *_) = portable_parts(encoder)
    return encoder if isinstance(encoder, JoinedEncoder) else whole


def _say_next(folder: Path, reads: str, *, as_json: bool) -> None:
    from kshot.terminal import say

    if not as_json:
        say(f"The model is {folder}. To label things: kshot predict {folder} {_things(reads)}")


def _things(reads: str) -> str:
    return {"photographs": "PICTURE…", "texts": '"a text" (or a table, or -)', "numbers": "TABLE"}.get(reads, "INPUT…")
