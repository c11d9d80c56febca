"""The commands for a user's own things: fit, predict, add, remove, rename, estimate; and what `kshot show` says of a model.

Each reads its flags, calls `kshot.tasks`, and shows the result. Predicting with a fitted model imports neither PyTorch nor scikit-learn nor
pandas. Over 300 lines because the commands share their flags. Next: `kshot.cli`, which lists these commands beside its own.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kshot.errors import RecipeError
from kshot.flags import refuse_given
from kshot.multi_label_commands import estimate_labels_of, fit_labels, label_with_labels, show_labels_model
from kshot.quantity_commands import estimate_quantity, fit_table, show_quantity

if TYPE_CHECKING:
    from kshot.encoders.encoder import Encoder, PortableEncoder
    from kshot.tasks.class_weights import ClassWeights
    from kshot.tasks.estimate import Estimate
    from kshot.tasks.examples import Examples
    from kshot.tasks.fit import Fitted
    from kshot.tasks.model import Model

_Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that kshot fit has written.")]
_ModelDevice = Annotated[str, typer.Option(help="Where the encoder computes: cpu, or cuda for a GPU.")]
_Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the labels. Default: found by its name.")]
_Text = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the texts. Default: found by its name.")]
_Path = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the pictures' paths. Default: found by its name.")]
_Depth = Annotated[int | None, typer.Option(metavar="N", help="Folders below the examples that name a class. Default: all of them.")]
_Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first thing that cannot be read.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]


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
    label: _Label = None,
    text: _Text = None,
    path: _Path = None,
    depth: _Depth = None,
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
    strict: _Strict = False,
    self_contained: Annotated[
        bool, typer.Option("--self-contained", help="Write the encoder into the model, for machines where it is not installed.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Train the encoder on the examples, for minutes; it is kept if left-out examples say so.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a --tune that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Write MODEL/report.html: the estimate, confusions, hardest examples.")] = False,
    as_json: _Json = False,
    device: _ModelDevice = "cpu",
) -> None:
    """Learn to tell your own things apart, from a few labelled examples: photographs, texts or rows of numbers.

    It prints what it found, how well the model does on examples that it did not see, and which head was chosen. With --descriptions, it
    needs no example.
    """
    from kshot.encoders.table import default_encoder
    from kshot.tasks.descriptions import read_descriptions
    from kshot.tasks.encoder_by_name import open_by_name
    from kshot.tasks.examples import Asked, find_examples
    from kshot.tasks.fit import fit as fit_model
    from kshot.tasks.fit import fit_descriptions, weigh
    from kshot.tasks.heads.table import head_named
    from kshot.tasks.model_folder import REPORT, check_output

    if resume and not tune:
        raise RecipeError("--resume goes on with a --tune that was stopped. Give both.")
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
        _save(out, fit_descriptions(only, sentences, head=head, cache=_cache()), portable, as_json=as_json)
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
        fitted = fit_model(found, opened, head=head, sentences=sentences, cache=_cache(), strict=strict)
        fitted = weigh(fitted, weights) if weights.asked else fitted
    _save(out, fitted, portable, as_json=as_json)
    if report:
        assert fitted.examples is not None
        _report(out / REPORT, fitted.model, fitted.examples, fitted.model.labels, fitted.log_probabilities, None)
    _say_next(out, found.reads, as_json=as_json)


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
    text: _Text = None,
    path: _Path = None,
    form: Annotated[str | None, typer.Option(help="Form of standard input: csv, tsv, jsonl or lines.")] = None,
    strict: _Strict = False,
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


def add(
    model: _Model,
    name: Annotated[str, typer.Argument(metavar="CLASS", help="A class that the model knows, or a new one.")],
    examples: Annotated[list[str], typer.Argument(metavar="EXAMPLES…", help="Examples of this class: files, folders, tables or texts.")],
    strict: _Strict = False,
    as_json: _Json = False,
    device: _ModelDevice = "cpu",
) -> None:
    """Add examples to a model, of a class that it knows or of a new one. The estimate is renewed."""
    from kshot.tasks.examples import of_one_class
    from kshot.tasks.fit import add as add_to
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.model_folder import load_model

    if not name.strip():
        raise RecipeError("a class needs a name that is not empty.")
    known = load_model(model)
    found = of_one_class(name, examples, known.encoder.reads, known.columns)
    _save(model, add_to(known, encoder_of(known, device), found, cache=_cache(), strict=strict), as_json=as_json)


def remove(
    model: _Model, name: Annotated[str, typer.Argument(metavar="CLASS", help="A class of the model.")], as_json: _Json = False
) -> None:
    """Take a class out of a model. The estimate is renewed."""
    from kshot.tasks.fit import remove as remove_from
    from kshot.tasks.model_folder import load_model

    _save(model, remove_from(load_model(model), name), as_json=as_json)


def rename(
    model: _Model,
    old: Annotated[str, typer.Argument(metavar="CLASS", help="A class of the model.")],
    new: Annotated[str, typer.Argument(metavar="NAME", help="Its new name; that of another class joins the two.")],
    as_json: _Json = False,
) -> None:
    """Give a class of a model another name."""
    from kshot.tasks.fit import rename as rename_in
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.model_folder import load_model

    known = load_model(model)
    encoder = None if known.description_vectors is None else encoder_of(known)
    _save(model, rename_in(known, old, new, encoder, cache=_cache()), as_json=as_json)


def estimate(
    context: typer.Context,
    model: _Model,
    examples: Annotated[str, typer.Argument(metavar="EXAMPLES", help="Labelled things: a folder of class folders, or a table.")],
    label: _Label = None,
    text: _Text = None,
    path: _Path = None,
    depth: _Depth = None,
    strict: _Strict = False,
    report: Annotated[bool, typer.Option("--report", help="Write MODEL/estimate.html: the score, confusions, hardest things.")] = False,
    as_json: _Json = False,
    device: _ModelDevice = "cpu",
) -> None:
    """Score a model on labelled things that it has not seen: accuracy with its 95 % interval, or a quantity's error."""
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
    scored = score_model(known, encoder_of(known, device), found, cache=_cache(), strict=strict)
    for note in scored.notes:
        say(f"Note: {note}")
    if as_json:
        print_json({**scored.estimate.as_dict(), "class_names": list(known.classes), "notes": list(scored.notes)})
    else:
        show_rows(rows_of_score(known, scored.estimate), f"{model} on {examples}", "score")
    if report:
        _report(model / SCORE, known, scored.examples, scored.labels, scored.log_probabilities, scored.estimate)


def show_model(folder: str, *, as_json: bool) -> None:
    """Print what a model is: its classes, encoder and head, how well it does, and how sure it is."""
    from kshot.tables import show_rows
    from kshot.tasks.model_folder import load_model
    from kshot.tasks.multi_label.model import is_multi_label_model
    from kshot.tasks.regression.model import is_quantity_model
    from kshot.terminal import print_json
    from kshot.workflows.model_description import described, rows_of
    from kshot.workflows.model_sureness import rows_of_sureness, sureness

    if is_quantity_model(folder):
        show_quantity(folder, as_json=as_json)
        return
    if is_multi_label_model(folder):
        show_labels_model(folder, as_json=as_json)
        return
    model = load_model(folder)
    if as_json:
        print_json({**described(model), "sureness": sureness(model)})
    else:
        show_rows([*rows_of(model), *rows_of_sureness(model)], folder)


def _weights(class_weight: str | None, prior: Path | None) -> "ClassWeights":
    """Read the weights of classes that are asked for."""
    from kshot.tasks.class_weights import BALANCED, ClassWeights, read_weights

    weight = class_weight if class_weight in (None, BALANCED) else read_weights(Path(class_weight), "weights")
    return ClassWeights(weight, None if prior is None else read_weights(prior, "shares"))


def _save(folder: Path, fitted: "Fitted", encoder: "PortableEncoder | None" = None, *, as_json: bool) -> None:
    """Write a model, with its encoder where that is asked for, and print what it is."""
    from kshot.tables import show_rows
    from kshot.tasks.model_folder import save_model
    from kshot.terminal import print_json, say
    from kshot.workflows.model_description import described, rows_of

    save_model(folder, fitted.model, encoder)
    for note in fitted.notes:
        say(f"Note: {note}")
    if as_json:
        print_json({**described(fitted.model), "notes": list(fitted.notes)})
    else:
        show_rows(rows_of(fitted.model), str(folder), "estimate")


def _say_next(folder: Path, reads: str, *, as_json: bool) -> None:
    from kshot.terminal import say

    if not as_json:
        say(f"The model is {folder}. To label things: kshot predict {folder} {_things(reads)}")


def _report(file: Path, model: "Model", examples: "Examples", labels: Any, log_probabilities: Any, score: "Estimate | None") -> None:
    """Write the report of a fit, or of a score."""
    from kshot.terminal import say
    from kshot.workflows.experiment import command_line
    from kshot.workflows.model_description import rows_of, things
    from kshot.workflows.model_report import Labelled, write_report

    labelled = Labelled(examples.things, examples.names, labels, log_probabilities)
    title = f"{file.parent.name}: {len(model.classes):,} classes of {things(model.encoder.reads)}"
    rows = [*rows_of(model), ("command", command_line(sys.argv[1:]))]
    write_report(file, model, labelled, title=title, score=score, rows=rows)
    say(f"The report is {file}")


def _check_is_model(saved: str) -> None:
    from kshot.tasks.model_record import is_model

    if not is_model(saved):
        raise RecipeError(
            f"{saved} is not a model that kshot fit has written. Make one: kshot fit EXAMPLES -o MODEL. To label pictures with a saved "
            "learner, add --support FOLDER, with one folder per class."
        )


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


def _cache() -> Any:
    from kshot.encoders.vector_cache import VectorCache

    return VectorCache()


def _things(reads: str) -> str:
    return {"photographs": "PICTURE…", "texts": '"a text" (or a table, or -)', "numbers": "TABLE"}.get(reads, "INPUT…")
