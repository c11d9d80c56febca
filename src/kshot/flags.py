"""The flags of a command: those that several commands share, which were typed, and what applies if they were not typed.

Like the commands, this module imports nothing slow before it is needed. Next: the modules of the commands.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kshot.errors import RecipeError
from kshot.regular_file import look

if TYPE_CHECKING:
    from kshot.episodes.shape import EpisodeShape
    from kshot.saved.folder import Saved

FittedModel = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that kshot fit has written.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …; auto uses a GPU if there is one.")]
EncoderDevice = Annotated[str, typer.Option(help="Where the encoder computes: cpu, or cuda for a GPU.")]
LabelColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the labels. Default: found by its name.")]
TextColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the texts. Default: found by its name.")]
PathColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the pictures' paths. Default: found by its name.")]
Depth = Annotated[int | None, typer.Option(metavar="N", help="Folders below the examples that name a class. Default: all of them.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first thing that cannot be read.")]


def given(context: typer.Context, name: str) -> bool:
    """Whether a flag was typed, so that its value is not the default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_given(context: typer.Context, why: str, names: str) -> None:
    """Raise an error if flags were typed that would change nothing."""
    if typed := [f"--{name.replace('_', '-')}" for name in names.split() if given(context, name)]:
        raise RecipeError(f"{why}: {', '.join(typed)} would change nothing. Leave {'it' if len(typed) == 1 else 'them'} out.")


def fitted(context: typer.Context, shape: "EpisodeShape", learners: "list[Saved]") -> "tuple[EpisodeShape, list[str]]":
    """Return the shape as typed. For flags that were not typed, reduce it to what the learners' test classes allow, and add a note."""
    from kshot.results.score.result import queries
    from kshot.workflows.question import fitting

    if given(context, "data") or given(context, "split"):
        return shape, []
    least = fitting(shape, learners)
    way = shape.way if given(context, "way") else least.way
    query = shape.query if given(context, "query") else least.query
    if (way, query) == (shape.way, shape.query):
        return shape, []
    note = f"the test classes allow only {way}-way with {queries(query)} per class, not {shape.way}-way with {shape.query}."
    return replace(shape, way=way, query=query), [note]


def check_plot(plot: Path | None, example: str) -> None:
    """Check before the long work that a picture can be drawn and written."""
    from kshot.figure import require_matplotlib

    if plot is not None:
        require_matplotlib()
        if look(plot, RecipeError) == "folder" or plot.suffix != ".png":
            raise RecipeError(f"--plot must name a PNG file to write, for example {example}; found {plot}. Choose another name.")


def shot_counts(context: typer.Context, shot: int, shots: str | None) -> list[int] | None:
    """Return the numbers of `--shots`; None if only `--shot` applies.

    Raises:
        RecipeError: Both were typed, or they are no numbers.
    """
    if shots is None:
        return None
    if given(context, "shot"):
        raise RecipeError(f"--shot {shot} and --shots {shots} contradict each other. Give one of them.")
    return numbers_of(shots)


def numbers_of(text: str) -> list[int]:
    """Return `1,2,5` as numbers, ascending, each once."""
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise RecipeError(f"--shots must be whole numbers separated by commas, for example 1,2,5,10; found {text!r}.") from None
