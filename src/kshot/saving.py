"""A fitted model is written and shown, and so is its report: the end of each command that makes, changes or scores one.

In: what `kshot.tasks.fit` has made. Out: the folder of the model, a table or JSON. Next: `kshot.fit_command`, `kshot.task_commands`.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from kshot.encoders.encoder import PortableEncoder
    from kshot.tasks.estimate import Estimate
    from kshot.tasks.examples import Examples
    from kshot.tasks.fit import Fitted
    from kshot.tasks.model import Model


def write_alone(context: typer.Context, folder: Path) -> None:
    """Let no other command write a model until this one ends.

    Raises:
        SavedError: Another one is writing it.
    """
    from kshot.tasks.one_writer import one_writer

    context.with_resource(one_writer(folder))


def save_fitted(folder: Path, fitted: "Fitted", encoder: "PortableEncoder | None" = None, *, as_json: bool) -> None:
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


def report_on(file: Path, model: "Model", examples: "Examples", labels: Any, log_probabilities: Any, score: "Estimate | None") -> None:
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
