"""Whoever watches sees the passes over a user's files; nobody else does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

from cases.folders import fill
from kshot.data.pictures.image_folder import ImageFolder
from kshot.data.pictures.picture import Picture
from kshot.passes import watch, watched


def test_opening_a_folder_shows_each_pass_over_its_files(tmp_path: Path) -> None:
    folder = fill(tmp_path / "pets", ["a", "b"], items=3)
    seen: dict[str, list[int]] = {}

    @contextmanager
    def watcher(what: str, total: int) -> Iterator[Callable[[int], None]]:
        seen[what] = [total, 0]

        def more(done: int) -> None:
            seen[what][1] += done

        yield more

    def watching() -> None:
        watch(watcher)
        ImageFolder(folder, Picture(8))

    copy_context().run(watching)
    assert seen == {"pictures compared": [6, 6], "pictures read": [6, 6]}
    ImageFolder(folder, Picture(8))
    with watched("nothing", 3) as done:
        done(3)
    assert len(seen) == 2
