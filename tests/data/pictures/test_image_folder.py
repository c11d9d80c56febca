"""Folders of class folders: what is read, in which order, and what each wrong folder is told."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cases.logged import Logged
from kshot.data.dataset import Dataset
from kshot.data.pictures.class_folders import class_files
from kshot.data.pictures.copies import support_notes
from kshot.data.pictures.image_folder import ImageFolder
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.errors import DataError, RecipeError

COLOURS = {"fox": (200, 90, 10), "owl": (90, 80, 70), "newt": (10, 160, 60)}


def fill(root: Path, classes: dict[str, int]) -> Path:
    """Plain pictures of one colour a class, and one shade a picture, in several formats."""
    for name, count in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            colour = COLOURS.get(name.split("/")[-1], (50, 50, 50))
            suffix = ("png", "jpg", "webp", "bmp")[number % 4]
            Image.new("RGB", (30 + number, 20), (*colour[:2], colour[2] + number)).save(root / name / f"{number}.{suffix}")
    return root


def test_each_folder_is_a_class_in_sorted_order(tmp_path: Path) -> None:
    root = fill(tmp_path / "animals", {"owl": 2, "fox": 3, "newt": 4})
    done: list[tuple[int, int]] = []
    data = ImageFolder(root, Picture(8), progress=lambda number, of: done.append((number, of)))
    assert isinstance(data, Dataset)
    assert data.name == str(root)
    assert data.index.names == ("fox", "newt", "owl")
    assert data.index.groups is None
    assert data.index.sizes.tolist() == [3, 4, 2]
    assert len(data) == len(data.files) == 9
    assert done == [(number, 9) for number in range(1, 10)]
    for name in data.index.names:
        items = data.index.items_of(name)
        kept = data.gather(items)
        assert isinstance(kept, torch.Tensor)
        assert (kept.shape, kept.dtype) == ((len(items), 3, 8, 8), torch.uint8)
        difference = kept[:, :, 4, 4].double() - torch.tensor(COLOURS[name]).double()
        assert difference.abs().max() < 12
        assert [data.files[item].parent.name for item in items] == [name] * len(items)
    twice = data.gather(np.array([4, 4]))
    assert isinstance(twice, torch.Tensor)
    twice.zero_()  # the caller's own
    again = data.gather(np.array([4]))
    assert isinstance(again, torch.Tensor)
    assert again.any()


def test_classes_in_groups(tmp_path: Path) -> None:
    root = fill(tmp_path, {"b/owl": 2, "b/fox": 1, "a/newt": 2})
    data = ImageFolder(root, Picture(8))
    assert data.index.names == ("a/newt", "b/fox", "b/owl")
    assert data.index.groups == ("a", "b", "b")


def test_hidden_and_other_files_are_skipped(tmp_path: Path, logged: Logged) -> None:
    root = fill(tmp_path, {"fox": 2, "owl": 2})
    (root / ".cache").mkdir()
    (root / "README.txt").write_text("notes")
    (root / "fox" / "Thumbs.db").write_text("")
    (root / "fox" / "._0.png").write_text("resource fork")
    data = ImageFolder(root, Picture(8))
    assert len(data) == 4
    assert data.ignored == (root / "README.txt", root / "fox" / "Thumbs.db")
    assert "2 files are not pictures and were skipped" in logged.text


def test_the_fingerprint_is_of_paths_and_contents_alone(tmp_path: Path) -> None:
    root = fill(tmp_path / "one", {"fox": 2, "owl": 2})
    first = ImageFolder(root, Picture(8))
    moved = Path(shutil.copytree(root, tmp_path / "two"))
    assert ImageFolder(moved, Picture(16, 1), n_threads=1).fingerprint == first.fingerprint
    (moved / "fox" / "0.png").rename(moved / "fox" / "9.png")
    renamed = ImageFolder(moved, Picture(8)).fingerprint
    Image.new("RGB", (30, 20), (1, 2, 3)).save(moved / "fox" / "9.png")
    changed = ImageFolder(moved, Picture(8)).fingerprint
    assert len({first.fingerprint, renamed, changed}) == 3


def test_above_the_limit_pictures_are_mapped_from_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    root = fill(tmp_path / "animals", {"fox": 3, "owl": 2})
    inside, mapped = ImageFolder(root, Picture(8)), ImageFolder(root, Picture(8), memory_limit_bytes=100)
    everything = np.arange(5)[::-1]
    one, other = inside.gather(everything), mapped.gather(everything)
    assert isinstance(one, torch.Tensor)
    assert isinstance(other, torch.Tensor)
    assert torch.equal(one, other)
    assert isinstance(mapped._kept, np.memmap)
    assert list((tmp_path / "cache").iterdir()) == []  # the file has no name
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="more than memory_limit_bytes=100"):
        ImageFolder(root, Picture(8), memory_limit_bytes=100)


def test_all_unreadable_files_are_counted_and_ten_named(tmp_path: Path) -> None:
    root = fill(tmp_path, {"fox": 2, "owl": 2})
    for number in range(12):
        (root / "owl" / f"bad{number:02}.png").write_text(f"no picture {number}")
    whole = (root / "fox" / "0.png").read_bytes()
    (root / "fox" / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as caught:
        ImageFolder(root, Picture(8))
    message = str(caught.value)
    assert message.startswith("13 of 16 pictures cannot be used.")
    assert f"{root / 'fox' / '0.png'}: the picture is cut off or damaged" in message
    assert f"{root / 'owl' / 'bad08.png'}: it is not a picture" in message
    assert "bad09.png" not in message
    assert message.endswith("and 3 more")


def test_pictures_without_ink_are_named(tmp_path: Path) -> None:
    root = fill(tmp_path, {"fox": 1})
    with pytest.raises(DataError, match=r"1 of 1 pictures cannot be used.*\n.*0\.png: found no ink"):
        ImageFolder(root, Ink())


def test_ctrl_c_does_not_read_on(tmp_path: Path) -> None:
    root = fill(tmp_path, {"fox": 40})

    def stop(number: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ImageFolder(root, Picture(8), progress=stop)


def test_wrong_folders_are_told_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a folder of class folders at .*nowhere; found nothing"):
        class_files(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="found a file there"):
        class_files(tmp_path / "file")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty is empty: expected one folder per class"):
        class_files(empty)
    fill(tmp_path / "flat", {".": 3})
    with pytest.raises(DataError, match="holds 3 pictures but no class folders"):
        class_files(tmp_path / "flat")
    mixed = fill(tmp_path / "mixed", {".": 1, "fox": 2})
    with pytest.raises(DataError, match="1 pictures beside its class folders"):
        class_files(mixed)
    hollow = fill(tmp_path / "hollow", {"fox": 2, "owl": 0, "newt": 0})
    with pytest.raises(DataError, match=r"2 of 3 class folders of .* hold no pictures: 'newt', 'owl'"):
        class_files(hollow)
    deep = fill(tmp_path / "deep", {"fox": 2, "fox/red": 1, "owl": 1})
    with pytest.raises(DataError, match=r"class folder .*fox holds both pictures and folders \('red'\)"):
        class_files(deep)


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes have other names there")
def test_special_files_in_a_class_are_named_and_not_opened(tmp_path: Path) -> None:
    root = fill(tmp_path, {"owl": 2, "fox": 2})
    os.mkfifo(root / "owl" / "pipe.png")  # nobody writes: to open it would wait for ever
    (root / "fox" / "zeros.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"(?s)zeros\.png: it is a device, .*pipe\.png: it is a named pipe, not a regular file"):
        ImageFolder(root, Picture(8))


def test_a_folder_that_cannot_be_reached_is_not_taken_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot reach .*xxx: File name too long"):
        ImageFolder(tmp_path / ("x" * 300), Picture(8))


def test_class_files_are_sorted(tmp_path: Path) -> None:
    root = fill(tmp_path, {"owl": 2, "fox": 1})
    found = class_files(root)
    assert list(found) == ["fox", "owl"]
    assert [path.name for path in found["owl"]] == ["0.png", "1.jpg"]


def test_copies_within_a_class_are_left_out_counted_and_named(tmp_path: Path) -> None:
    root = fill(tmp_path, {"fox": 3, "owl": 2})
    before = ImageFolder(root, Picture(8))
    assert (before.copies, before.notes) == ((), ())
    for name in ("a.png", "z.png"):
        shutil.copy(root / "fox" / "2.webp", root / "fox" / name)
    data = ImageFolder(root, Picture(8))
    assert data.index.sizes.tolist() == [3, 2]
    assert [path.name for path in data.files[:3]] == ["0.png", "1.jpg", "2.webp"]  # the first by name is kept
    assert data.copies == tuple((root / "fox" / name, root / "fox" / "2.webp") for name in ("a.png", "z.png"))
    (note,) = data.notes
    assert note.startswith("2 pictures are copies of others of their class, byte for byte, and left out, such as ")
    assert f"{root / 'fox' / 'a.png'} (a copy of {root / 'fox' / '2.webp'})" in note
    assert 'data.duplicates = "keep"' in note
    everything = ImageFolder(root, Picture(8), duplicates="keep")
    assert everything.index.sizes.tolist() == [5, 2]
    assert everything.notes == ()
    assert before.fingerprint == data.fingerprint != everything.fingerprint


def test_the_fingerprint_of_a_folder_without_copies_is_as_before(tmp_path: Path) -> None:
    root = fill(tmp_path, {"fox": 2, "owl": 1})
    whole = hashlib.sha256()
    for relative in ("fox/0.png", "fox/1.jpg", "owl/0.png"):
        whole.update(relative.encode() + b"\0" + hashlib.sha256((root / relative).read_bytes()).digest())
    for duplicates in ("one", "keep", "drop"):
        assert ImageFolder(root, Picture(8), duplicates=duplicates).fingerprint == whole.hexdigest()  # type: ignore[arg-type]  # of a loop


def test_copies_in_two_classes_are_an_error_or_left_out_on_request(tmp_path: Path) -> None:
    root = fill(tmp_path, {"fox": 3, "owl": 2})
    shutil.copy(root / "fox" / "1.jpg", root / "owl" / "7.jpg")
    shutil.copy(root / "fox" / "1.jpg", root / "fox" / "8.jpg")
    with pytest.raises(DataError) as caught:
        ImageFolder(root, Picture(8))
    message = str(caught.value)
    assert message.startswith("the same picture lies in two classes, byte for byte: ")
    assert f"{root / 'fox' / '1.jpg'} and {root / 'owl' / '7.jpg'}." in message
    assert 'data.duplicates = "drop"' in message
    dropped = ImageFolder(root, Picture(8), duplicates="drop")
    assert [path.relative_to(root).as_posix() for path in dropped.files] == ["fox/0.png", "fox/2.webp", "owl/0.png", "owl/1.jpg"]
    assert "1 picture lies in more than one class, byte for byte, and left out" in dropped.notes[0]
    kept = ImageFolder(root, Picture(8), duplicates="keep")
    assert len(kept) == 7
    assert "and kept, such as" in kept.notes[0]
    for path in (root / "fox").iterdir():
        shutil.copy(path, root / "owl" / path.name)
    with pytest.raises(DataError, match="lies in more than one class, so that none is left"):
        ImageFolder(root, Picture(8), duplicates="drop")


def test_unreadable_copies_are_named_as_unreadable(tmp_path: Path) -> None:
    root = fill(tmp_path, {"fox": 2, "owl": 2})
    for place in ("fox/bad.png", "fox/worse.png", "owl/bad.png"):
        (root / place).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        ImageFolder(root, Picture(8))
    message = str(caught.value)
    assert message.startswith("3 of 7 pictures cannot be used.")
    for place in ("fox/bad.png", "fox/worse.png", "owl/bad.png"):
        assert str(root / place) in message


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("duplicates", "there is no data.duplicates 'merged'"),
        ("parts", r"there is no data.parts 'merged'. Did you mean 'merge'. The known ones are own, merge, separate"),
    ],
)
def test_unknown_words_are_refused(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ImageFolder(fill(tmp_path, {"fox": 1}), Picture(8), **{setting: "merged"})  # type: ignore[arg-type]  # wrong on purpose


def test_a_support_set_says_what_it_holds_twice(tmp_path: Path) -> None:
    root = fill(tmp_path / "animals", {"owl": 3, "fox": 3})
    assert support_notes(class_files(root)) == ()
    shutil.copy(root / "fox" / "0.png", root / "fox" / "z.png")
    (note,) = support_notes(class_files(root))
    assert note.startswith("1 picture is a copy of another one of its class and counts twice, such as ")
    assert note.endswith(f"z.png (a copy of {root / 'fox' / '0.png'}).")
    shutil.copy(root / "fox" / "0.png", root / "owl" / "y.png")
    torn, _ = support_notes(class_files(root))
    assert torn.startswith("1 picture lies in more than one class of the support set, byte for byte, such as ")
    assert str(root / "owl" / "y.png") in torn
