"""The command `kshot`: it lists the commands, which are in the modules beside it, and reads the flags of all of them.

PyTorch is imported inside the commands, so `kshot --help` answers at once. `kshot.exit_code` says how a command ends.
"""

from typing import Annotated

import typer

from kshot.embed_command import embed
from kshot.errors import RecipeError
from kshot.exit_code import run_to_end
from kshot.export_command import export
from kshot.fit_command import fit
from kshot.label_commands import doubt, suggest
from kshot.predict_command import predict
from kshot.score_commands import compare, evaluate, inspect_tasks
from kshot.serve_commands import keys, serve
from kshot.show_command import show
from kshot.task_commands import add, estimate, remove, rename
from kshot.train_commands import demo, recipes, train

app = typer.Typer(
    name="kshot",
    help="Meta-learning: models that learn a new task from a few examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    from kshot.terminal import print_line
    from kshot.version import VERSION

    if asked:
        print_line(f"kshot {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and nothing else.", callback=_print_version, is_eager=True)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors, but no messages, notes and bars.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the package's log too.")] = False,
) -> None:
    from kshot.passes import watch
    from kshot.terminal import counting, set_loudness

    if quiet and verbose:
        raise RecipeError("--quiet and --verbose contradict each other. Give one of them.")
    set_loudness("quiet" if quiet else "verbose" if verbose else "usual")
    watch(counting)


for _command in (fit, predict, add, remove, rename, estimate, suggest, doubt, embed, export, serve, demo, train, evaluate, show, compare):
    app.command()(_command)
app.command("inspect")(inspect_tasks)
app.command()(recipes)
app.add_typer(keys, name="keys")


def main() -> None:
    """Run the command, and end the process with its exit code."""
    run_to_end(app)


if __name__ == "__main__":
    main()
