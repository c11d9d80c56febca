"""The command `kshot embed`: labelled things as vectors of a frozen encoder, in a file to train on. Next: `kshot.cli`, which lists it."""

from pathlib import Path
from typing import Annotated

import typer

from kshot.flags import EncoderDevice, Json, LabelColumn, PathColumn, Strict, TextColumn


def embed(
    examples: Annotated[str, typer.Argument(metavar="EXAMPLES", help="A folder of class folders, or a table of texts or of paths.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The .npz file of the vectors, in the place of one there.")],
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="What reads the things. Default: the usual one for them.")] = None,
    label: LabelColumn = None,
    text: TextColumn = None,
    path: PathColumn = None,
    depth: Annotated[int | None, typer.Option(metavar="N", help="Folders below EXAMPLES that name a class. Default: all of them.")] = None,
    strict: Strict = False,
    as_json: Json = False,
    device: EncoderDevice = "cpu",
) -> None:
    """Turn labelled photographs or texts into vectors, once, so that learners are meta-trained on them in minutes.

    The file goes where a folder of pictures goes: kshot train RECIPE --data FILE.
    """
    from kshot.encoders.vector_cache import VectorCache
    from kshot.terminal import print_json, say
    from kshot.workflows.embedding import check_vector_file, embed_examples

    check_vector_file(out)
    made = embed_examples(
        examples, out, encoder=encoder, label=label, text=text, path=path, depth=depth, strict=strict, device=device, cache=VectorCache()
    )
    for note in made.notes:
        say(f"Note: {note}")
    if as_json:
        print_json({"file": str(out), "classes": made.classes, "items": made.items, "features": made.features, "encoder": made.encoder})
        return
    say(f"{made.items:,} {made.reads} of {made.classes:,} classes are vectors of {made.features:,} numbers, by {made.encoder}.")
    say(f"The file is {out}. To train on it: kshot train RECIPE --data {out}")
