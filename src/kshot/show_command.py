"""The command `kshot show`: what a model, a saved learner or a learned optimiser is. Next: `kshot.cli`, which lists it."""

from pathlib import Path
from typing import Annotated

import typer

from kshot.flags import Json, check_plot, refuse_given
from kshot.multi_label_commands import show_labels_model
from kshot.quantity_commands import show_quantity


def show(
    context: typer.Context,
    saved: Annotated[str, typer.Argument(help="A model, a run, the folder of a saved learner or learned optimiser, or a shipped one.")],
    as_json: Json = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the course of its training into this PNG file.")] = None,
) -> None:
    """Describe a model, a saved learner or a learned optimiser: what it is, what it learned from, and how well it does."""
    from kshot.tasks.model_record import is_model

    if is_model(saved):
        refuse_given(context, f"{saved} is a model, whose fitting has no course", "plot")
        _show_model(saved, as_json=as_json)
        return
    from kshot.results.show.plot_learning import plot_learning
    from kshot.tables import show_rows
    from kshot.terminal import print_json, say
    from kshot.workflows.description import describe_saved

    check_plot(plot, "training.png")
    description = describe_saved(saved)
    if plot is not None:
        plot_learning(
            description.required_history(),
            plot,
            score_name=description.score,
            higher_is_better=description.higher_is_better,
            chance=description.chance,
            trained_on=description.trained_on,
        )
    if as_json:
        print_json(description.as_dict())
    else:
        show_rows(description.rows, saved)
    if plot is not None:
        say(f"The picture is {plot}")


def _show_model(folder: str, *, as_json: bool) -> None:
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
