"""Metrics on disk: one line an update, and a resumed run's file reads as if it had never stopped."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from kshot.errors import SavedError
from kshot.meta_train.loop import Step, Validation
from kshot.meta_train.track import Track


def step(update: int, validated: bool = False) -> Step:
    return Step(update, 0.5 / update, 1.5, 0.01, 0.0123456789, Validation(0.75, 0.02) if validated else None, validated)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_one_line_an_update(tmp_path: Path) -> None:
    with Track(tmp_path / "metrics.jsonl") as track:
        track.write(step(1))
        track.write(step(2, validated=True))
    first, second = lines(tmp_path / "metrics.jsonl")
    assert first == {"update": 1, "loss": 0.5, "gradient_norm": 1.5, "lr": 0.01, "seconds": 0.012346}
    assert second == {"update": 2, "loss": 0.25, "gradient_norm": 1.5, "lr": 0.01, "seconds": 0.012346} | {
        "validation": 0.75,
        "interval": 0.02,
        "best": True,
    }


def test_flushed_by_a_validation_and_on_request(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    with Track(file) as track:
        track.write(step(1))
        track.write(step(2, validated=True))
        assert len(lines(file)) == 2
        track.write(step(3))
        track.flush()
        assert len(lines(file)) == 3


def test_resume_drops_what_is_later_and_what_is_torn(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    with Track(file) as track:
        for update in range(1, 8):
            track.write(step(update))
    whole = file.read_text()
    with file.open("a") as torn:
        torn.write('{"update": 8, "loss": 0.')
    with Track(file, since=5) as track:
        assert file.read_text() == "".join(whole.splitlines(keepends=True)[:5])
        track.write(step(6))
    assert [line["update"] for line in lines(file)] == [1, 2, 3, 4, 5, 6]


def test_a_last_line_without_its_end_is_kept_whole(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"update": 1}\n{"update": 2}')
    with Track(file, since=2) as track:
        track.write(step(3))
    assert [line["update"] for line in lines(file)] == [1, 2, 3]


def test_damaged_bytes_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"update": 1}\n\0\0\0\n[1]\n{"update": "x"}\n{"loss": 1}\n\xff\xfe{"update": 2}\n{"update": 2}\n')
    with Track(file, since=9):
        pass
    assert [line["update"] for line in lines(file)] == [1, 2]


def test_a_fresh_run_starts_a_fresh_file(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"update": 1}\n')
    with Track(file):
        pass
    assert file.read_text() == ""


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFile:
    """A file on a full disk: what is buffered cannot be flushed, and closing tries once more."""

    write = flush = close = full


def test_a_full_disk_is_an_error_in_words(tmp_path: Path) -> None:
    track = Track(tmp_path / "metrics.jsonl")
    track._file.close()
    track._file = FullFile()  # type: ignore[assignment]
    for call in (lambda: track.write(step(1)), track.flush, lambda: track.__exit__(None, None, None)):
        with pytest.raises(SavedError, match=r"cannot write .*metrics\.jsonl: No space left on device\. The last state written is whole"):
            call()


def test_closing_does_not_hide_an_earlier_error(tmp_path: Path) -> None:
    def run() -> None:
        with Track(tmp_path / "metrics.jsonl") as track:
            track._file.close()
            track._file = FullFile()  # type: ignore[assignment]
            raise KeyError("the first error")

    with pytest.raises(KeyError, match="the first error"):
        run()


def test_a_path_that_is_a_folder_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(SavedError, match=r"cannot read .*metrics\.jsonl: Is a directory"):
        Track(tmp_path / "metrics.jsonl")


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with Track(tmp_path / "metrics.jsonl", tensorboard=tmp_path / "board") as track:
        track.write(step(1, validated=True))
    assert [path.name for path in (tmp_path / "board").iterdir() if "tfevents" in path.name]
