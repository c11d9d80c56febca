"""What the commands do with a quantity: fit, show and score a model of regression.

In: what the commands have read from their flags. Out: a model, lines, JSON, a report. Next: `kshot.show_command`, `kshot.fit_command`,
`kshot.task_commands`. Answers are written by `kshot.labelling`.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kshot.tasks.examples import Asked, Examples


def fit_table(out: Path, found: "Examples", regressor: str | None, *, strict: bool, report: bool, as_json: bool) -> None:
    """Fit a model of a quantity to rows, write it, and print how large its error is. The arguments are those of `kshot fit`."""
    import numpy as np

    from kshot.tables import show_rows
    from kshot.tasks.model_folder import REPORT
    from kshot.tasks.regression.fit import fit_quantity
    from kshot.tasks.regression.model import save_quantity_model
    from kshot.terminal import print_json, say
    from kshot.workflows.experiment import command_line
    from kshot.workflows.quantity_report import described_quantity, rows_of_quantity, write_quantity_report

    fitted = fit_quantity(found, regressor=regressor, strict=strict)
    model = fitted.model
    save_quantity_model(out, model)
    for note in fitted.notes:
        say(f"Note: {note}")
    if as_json:
        print_json({**described_quantity(model), "notes": list(fitted.notes)})
    else:
        show_rows(rows_of_quantity(model), str(out), "estimate")
    if report:
        rows = [*rows_of_quantity(model), ("command", command_line(sys.argv[1:]))]
        tested = np.flatnonzero(np.isfinite(fitted.left_out))  # of very many rows, a sample
        shown, answers = fitted.examples.keeping(tested.tolist()), fitted.left_out[tested]
        write_quantity_report(out / REPORT, model, shown, model.targets[tested], answers, score=None, rows=rows)
        say(f"The report is {out / REPORT}")
    if not as_json:
        say(f"The model is {out}. To predict {model.target!r}: kshot predict {out} TABLE")


def estimate_quantity(folder: Path, source: str, asked: "Asked", *, strict: bool, report: bool, as_json: bool) -> None:
    """Print the error of a model on rows with known values. The arguments are those of `kshot estimate`."""
    from dataclasses import replace

    from kshot.tables import show_rows
    from kshot.tasks.examples import find_examples
    from kshot.tasks.model_folder import SCORE
    from kshot.tasks.regression.fit import score_quantity
    from kshot.tasks.regression.model import load_quantity_model
    from kshot.terminal import print_json, say
    from kshot.workflows.experiment import command_line
    from kshot.workflows.quantity_report import rows_of_quantity, write_quantity_report

    model = load_quantity_model(folder)
    found = find_examples(source, asked if asked.label is not None else replace(asked, label=model.target))
    scored = score_quantity(model, found, strict=strict)
    for note in scored.notes:
        say(f"Note: {note}")
    if as_json:
        print_json({**scored.estimate.as_dict(), "target": model.target, "notes": list(scored.notes)})
    else:
        show_rows([("score", str(scored.estimate))], f"{folder} on {source}", "score")
    if report:
        file = folder / SCORE
        rows = [*rows_of_quantity(model), ("command", command_line(sys.argv[1:]))]
        write_quantity_report(file, model, scored.examples, scored.targets, scored.answers, score=scored.estimate, rows=rows)
        say(f"The report is {file}")


def show_quantity(folder: str, *, as_json: bool) -> None:
    """Print what a model of a quantity is, and how well it does."""
    from kshot.tables import show_rows
    from kshot.tasks.regression.model import load_quantity_model
    from kshot.terminal import print_json
    from kshot.workflows.quantity_report import described_quantity, rows_of_quantity

    model = load_quantity_model(folder)
    if as_json:
        print_json(described_quantity(model))
    else:
        show_rows(rows_of_quantity(model), folder)
