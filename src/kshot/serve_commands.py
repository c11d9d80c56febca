"""The commands of the service: `kshot serve`, and `kshot keys` for its API keys. Next: `kshot.cli`, which lists them."""

from pathlib import Path
from typing import Annotated

import typer

from kshot.flags import Json

_Keys = Annotated[Path, typer.Argument(metavar="FILE", help="The file of keys, which holds their hashes only.")]
keys = typer.Typer(help="Make, list and revoke the API keys of kshot serve.", no_args_is_help=True)


def serve(
    saved: Annotated[
        list[str] | None,
        typer.Argument(metavar="SAVED…", help="Saved learners, runs and models of kshot fit. Default: every shipped learner."),
    ] = None,
    store: Annotated[
        str, typer.Option(metavar="URL", help="Where tasks are kept: sqlite:///FILE or postgresql://USER@HOST/NAME.")
    ] = "sqlite:///kshot-tasks.db",
    host: Annotated[str, typer.Option(help="The interface to listen at. Others than loopback need --keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="How many processes answer, on one store.")] = 1,
    keys: Annotated[Path | None, typer.Option(metavar="FILE", help="Ask for API keys, as kshot keys has made them in this file.")] = None,
) -> None:
    """Serve learners over HTTP: adapt and predict, with a page to try it.

    The page is at /, the interface under /v1, its description at /v1/openapi.json. Ctrl-C ends the server after the requests that it is
    answering.
    """
    try:
        from kshot.web.serve import Settings
        from kshot.web.serve import serve as run
    except ImportError as error:
        from kshot.errors import missing_extra

        raise missing_extra(str(error.name), "web", "kshot serve") from error
    run(Settings(tuple(saved or ()), store, host, port, workers, None if keys is None else str(keys)))


@keys.command("add")
def add_key(
    file: _Keys,
    tenant: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is. Keys of one name see the same tasks.")],
) -> None:
    """Make a key, and print it. It is shown this once: the file holds its hash."""
    from kshot.terminal import print_line, say
    from kshot.web.keys import add_key as add

    key = add(file, tenant)
    say(f"This is the key of {tenant}. Keep it: it is not shown again.")
    print_line(key)


@keys.command("list")
def list_keys(
    file: _Keys,
    as_json: Json = False,
) -> None:
    """List the keys of a file: the id of each, whose it is, and when it was made."""
    from kshot.terminal import print_json, print_line
    from kshot.web.keys import read_keys

    found = [{"id": one.id, "tenant": one.tenant, "made": one.made} for one in read_keys(file)]
    if as_json:
        print_json({"keys": found})
        return
    for one in found:
        print_line(f"{one['id']}  {one['made']}  {one['tenant']}")


@keys.command("revoke")
def revoke_key(
    file: _Keys,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id of the key, as kshot keys list shows it.")],
) -> None:
    """Revoke a key. A running server refuses it from the next request on."""
    from kshot.terminal import say
    from kshot.web.keys import revoke_key as revoke

    say(f"The key {key_id} of {revoke(file, key_id).tenant} is revoked.")
