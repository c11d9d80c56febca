"""Vectors are found again by any process, or cost time; they never cost the result."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cases.logged import Logged
from kshot.encoders.vector_cache import VectorCache

ENCODER = "0123456789abcdef"
FILE = "vectors.sqlite"


def vectors(n: int, features: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, features)).astype(np.float32)


def names(n: int) -> list[bytes]:
    return [f"thing {number}".encode() for number in range(n)]


def kept(cache: VectorCache, n: int) -> list[int]:
    return [number for number, name in enumerate(names(n)) if cache.get(ENCODER, name) is not None]


def test_a_vector_is_found_by_encoder_and_content(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    put = vectors(2)
    cache.put(ENCODER, [b"fox", b"owl"], put)
    for again in (cache, VectorCache(tmp_path)):
        found = again.get(ENCODER, b"owl")
        assert found is not None
        assert found.dtype == np.float32
        assert np.array_equal(found, put[1])
        assert again.get(ENCODER, b"cat") is None
        assert again.get("fedcba9876543210", b"owl") is None


def test_the_usual_folder_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "here"))
    VectorCache().put(ENCODER, [b"fox"], vectors(1))
    assert (tmp_path / "here" / FILE).exists()


@pytest.mark.slow
def test_the_file_stays_within_its_limit_and_the_least_recently_used_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 400_000
    cache = VectorCache(tmp_path, most)
    now = [0.0]
    monkeypatch.setattr("kshot.encoders.vector_cache.time.time", lambda: now[0])
    for number, name in enumerate(names(200)):  # 200 vectors of 4,000 bytes are twice the limit
        now[0] += 4000.0
        cache.put(ENCODER, [name], vectors(1, 1000, number))
        if number >= 3:
            assert cache.get(ENCODER, b"thing 3") is not None, "what is used all the time stays"
            cache.flush()
        assert (tmp_path / FILE).stat().st_size <= 1.1 * most
    left = kept(cache, 200)
    assert left[0] == 3
    assert left[1:] == list(range(left[1], 200)), "the oldest were given up"
    assert 40 <= len(left) <= 100


def test_vectors_larger_than_the_limit_are_not_kept(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, 20_000)
    cache.put(ENCODER, names(3), vectors(3))
    cache.put(ENCODER, [b"large"], vectors(1, 10_000))
    assert cache.get(ENCODER, b"large") is None
    assert kept(cache, 3) == [0, 1, 2]


WRITER = """
import sys
import numpy as np
from pathlib import Path
from kshot.encoders.vector_cache import VectorCache
cache = VectorCache(Path(sys.argv[1]))
for number in range(60):
    name = f"{sys.argv[2]} {number}".encode()
    cache.put("0123456789abcdef", [name], np.full((1, 300), number, np.float32))
    assert cache.get("0123456789abcdef", name)[0] == number, number
"""


@pytest.mark.slow
def test_two_processes_write_and_read_at_once(tmp_path: Path) -> None:
    source = str(Path(__file__).resolve().parents[2] / "src")
    run = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*run, name], env={**os.environ, "PYTHONPATH": source}) for name in ("first", "second")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    cache = VectorCache(tmp_path)
    for name in ("first", "second"):
        for number in range(60):
            found = cache.get(ENCODER, f"{name} {number}".encode())
            assert found is not None
            assert found.tolist() == [number] * 300


def test_threads_share_a_cache(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)

    def use(number: int) -> bool:
        cache.put(ENCODER, [str(number).encode()], np.full((1, 3), number, np.float32))
        found = cache.get(ENCODER, str(number).encode())
        return found is not None and found.tolist() == [number] * 3

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(50)))


@pytest.mark.slow
def test_a_row_that_was_changed_is_not_used(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    cache.put(ENCODER, names(1), vectors(1))
    with sqlite3.connect(tmp_path / FILE) as database:
        (data,) = database.execute("SELECT vector FROM vectors").fetchone()
        for position in range(len(data)):
            changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
            database.execute("UPDATE vectors SET vector = ?", (changed,))
            database.commit()
            assert cache.get(ENCODER, names(1)[0]) is None
        database.execute("UPDATE vectors SET vector = ?", (data,))
        database.commit()
    database.close()
    assert cache.get(ENCODER, names(1)[0]) is not None


@pytest.mark.parametrize("content", [b"no database at all " * 500, b"SQLite format 3\x00" + b"\x00" * 5000])
def test_a_damaged_file_is_made_again(tmp_path: Path, content: bytes, logged: Logged) -> None:
    (tmp_path / FILE).write_bytes(content)
    cache = VectorCache(tmp_path)
    assert cache.get(ENCODER, b"fox") is None
    assert "is damaged" in logged.text
    cache.put(ENCODER, [b"fox"], vectors(1))
    assert VectorCache(tmp_path).get(ENCODER, b"fox") is not None


def test_a_file_cut_off_in_the_middle_costs_time_only(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    cache.put(ENCODER, names(100), vectors(100, 200))
    cache.close()
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    cache = VectorCache(tmp_path)
    kept(cache, 100)
    cache.put(ENCODER, names(100), vectors(100, 200))
    cache.put(ENCODER, names(100), vectors(100, 200))  # the first one may have met the damage
    assert kept(VectorCache(tmp_path), 100) == list(range(100))


@pytest.mark.parametrize("blocked", ["a file in place of the folder", "a folder in place of the file"])
def test_what_cannot_be_written_is_logged_once_and_no_error(tmp_path: Path, blocked: str, logged: Logged) -> None:
    folder = tmp_path / "cache"
    if "in place of the folder" in blocked:
        folder.write_text("in the way")
    else:
        (folder / FILE).mkdir(parents=True)
    cache = VectorCache(folder)
    for _ in range(3):
        cache.put(ENCODER, names(2), vectors(2))
        assert kept(cache, 2) == []
    cache.close()
    assert logged.text.count("no vectors are kept between runs") == 1


def test_a_full_disk_stops_the_writing_and_not_the_reading(tmp_path: Path, logged: Logged) -> None:
    first = VectorCache(tmp_path)
    first.put(ENCODER, names(2), vectors(2))
    first.close()
    cache = VectorCache(tmp_path)
    assert kept(cache, 2) == [0, 1]
    pages = cache._connection.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[union-attr]  # it is open
    cache._connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[union-attr]  # SQLite's own "disk is full"
    cache.put(ENCODER, names(50), vectors(50, 1000))
    cache.put(ENCODER, names(50), vectors(50, 1000))
    assert logged.text.count("no vectors are kept between runs: database or disk is full") == 1
    assert kept(cache, 2) == [0, 1]


def test_without_a_home_folder_nothing_is_kept_and_nothing_fails(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("KSHOT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    cache = VectorCache()
    cache.put(ENCODER, names(1), vectors(1))
    assert cache.get(ENCODER, names(1)[0]) is None
    assert "no vectors are kept between runs" in logged.text


def test_another_process_that_writes_for_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kshot.encoders.vector_cache._WAIT", 0.01)
    cache = VectorCache(tmp_path)
    cache.put(ENCODER, [b"fox"], vectors(1))
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cache.put(ENCODER, [b"owl"], vectors(1))
    assert cache.get(ENCODER, b"fox") is None
    other.execute("COMMIT")
    other.close()
    assert cache.get(ENCODER, b"fox") is not None
    cache.put(ENCODER, [b"owl"], vectors(1))
    assert cache.get(ENCODER, b"owl") is not None
