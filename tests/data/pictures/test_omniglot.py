"""The embedded Omniglot: complete, split as papers split it, turned right, and quick to find damage in its cache."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data.cache import write_array
from kshot.data.pictures.omniglot import Omniglot
from kshot.data.pictures.omniglot_archive import EMBEDDED, Drawings, pack, read_header, read_official, unpack
from kshot.errors import DataError

BACKGROUND, EVALUATION = 30, 20


@pytest.mark.slow
def test_it_is_complete(omniglot: Omniglot) -> None:
    assert len(omniglot) == 4 * 32_460
    assert len(omniglot.index) == 4 * 1_623
    assert set(omniglot.index.sizes) == {20}
    assert omniglot.index.groups is not None
    assert len(set(omniglot.index.groups)) == 4 * (BACKGROUND + EVALUATION)
    assert omniglot.index.groups[omniglot.index.position("Greek/character01/rot090")] == "Greek/rot090"
    assert sorted(omniglot.index.items.tolist()) == list(range(4 * 32_460))


@pytest.mark.slow
def test_the_fingerprint_in_the_package_is_that_of_its_pixels(drawings: Drawings) -> None:
    packed = EMBEDDED.read_bytes()
    assert len(packed) <= 4_000_000
    assert drawings.fingerprint() == read_header(packed)[2]


@pytest.mark.parametrize(("rotations", "turns"), [pytest.param("classes", 4, marks=pytest.mark.slow), ("none", 1)])
def test_the_splits_have_the_published_sizes_and_share_no_character(
    rotations: str, turns: int, omniglot: Omniglot, upright_omniglot: Omniglot
) -> None:
    data = omniglot if rotations == "classes" else upright_omniglot
    sizes = {"vinyals": (1028, 172, 423), "characters": (1100, 100, 423)}
    for name, wanted in sizes.items():
        split = data.split(name)
        assert tuple(len(split.part(part)) for part in ("train", "val", "test")) == tuple(turns * size for size in wanted)
        characters = [{"/".join(n.split("/")[:2]) for n in split.part(part).names} for part in ("train", "val", "test")]
        assert not characters[0] & characters[1]
        assert not characters[2] & (characters[0] | characters[1])
        assert len(split.part("trainval")) == turns * 1200
    assert data.split("vinyals").part("test").names == data.split("characters", seed=3).part("test").names


def test_alphabets_are_divided_as_lake_did(omniglot: Omniglot) -> None:
    split = omniglot.split("alphabets")
    parts = ("train", "val", "trainval", "test")
    alphabets = {part: {group.partition("/")[0] for group in split.part(part).groups or ()} for part in parts}
    assert [len(alphabets[part]) for part in ("train", "val", "trainval", "test")] == [25, 5, 30, 20]
    assert not alphabets["trainval"] & alphabets["test"]
    assert (len(split.part("trainval")), len(split.part("test"))) == (4 * 964, 4 * 659)
    assert {"Greek", "Latin", "Korean"} <= alphabets["trainval"]
    assert {"Tibetan", "Gurmukhi", "Angelic"} <= alphabets["test"]


def test_a_seed_divides_and_another_divides_otherwise(omniglot: Omniglot) -> None:
    assert omniglot.split("characters", seed=1).as_names() == omniglot.split("characters", seed=1).as_names()
    assert omniglot.split("characters", seed=1).as_names() != omniglot.split("characters", seed=2).as_names()


def test_a_turned_class_holds_the_same_drawings_turned_counter_clockwise(omniglot: Omniglot) -> None:
    upright = omniglot.gather(omniglot.index.items_of("Greek/character01/rot000"))
    for quarter, name in enumerate(("rot090", "rot180", "rot270"), start=1):
        turned = omniglot.gather(omniglot.index.items_of(f"Greek/character01/{name}"))
        assert torch.equal(turned, torch.rot90(upright, quarter, (2, 3)))
    assert upright.dtype == torch.uint8
    assert upright.shape == (20, 1, 28, 28)
    assert 5 < float(upright.float().mean()) < 60  # ink is 255 on 0, and rare


def test_gathering_gives_a_tensor_of_ones_own(omniglot: Omniglot) -> None:
    items = np.array([0, 5, 0])
    omniglot.gather(items).zero_()
    assert int(omniglot.gather(items).max()) == 255


def test_an_unknown_split_and_unknown_rotations_are_errors(omniglot: Omniglot) -> None:
    with pytest.raises(DataError, match=r"no split 'lake'. The known ones are vinyals, characters, alphabets"):
        omniglot.split("lake")
    with pytest.raises(DataError, match=r"rotations must be 'classes' or 'none'; found 'augment'"):
        Omniglot(rotations="augment")  # type: ignore[arg-type]


def test_without_rotations_items_are_drawings(omniglot: Omniglot, upright_omniglot: Omniglot) -> None:
    plain = upright_omniglot
    assert (len(plain), len(plain.index)) == (32_460, 1_623)
    turned = omniglot.gather(omniglot.index.items_of("Latin/character05/rot000"))
    assert torch.equal(plain.gather(plain.index.items_of("Latin/character05")), turned)
    assert plain.fingerprint == omniglot.fingerprint


def test_items_are_numbered_by_character_drawer_and_turn(omniglot: Omniglot) -> None:
    third = omniglot.index.names[4 * 2 : 4 * 3]  # the third character
    assert [name.rpartition("/")[2] for name in third] == ["rot000", "rot090", "rot180", "rot270"]
    for turn, name in enumerate(third):
        assert omniglot.index.items_of(name).tolist() == [4 * (20 * 2 + drawer) + turn for drawer in range(20)]


@pytest.mark.slow
def test_drawings_are_resized_as_pillow_does(omniglot: Omniglot, drawings: Drawings) -> None:
    some = np.arange(0, 32_460, 331)
    for drawing, kept in zip(some, omniglot.gather(4 * some), strict=True):
        full = Image.fromarray(drawings.ink[drawing].view(np.uint8) * np.uint8(255))
        assert np.array_equal(kept[0].numpy(), np.asarray(full.resize((28, 28), Image.Resampling.BILINEAR)))


@pytest.mark.slow
def test_the_original_size_keeps_every_pixel_and_is_not_cached(drawings: Drawings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path))
    original = Omniglot(size=105, rotations="none")
    items = np.arange(0, 32_460, 331)
    assert np.array_equal(original.gather(items)[:, 0].numpy(), drawings.ink[items].view(np.uint8) * 255)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What opening Omniglot leaves in an empty cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KSHOT_CACHE", str(folder := tmp_path_factory.mktemp("cache")))
        Omniglot()
    (file,) = folder.iterdir()
    return file


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut off", "one bit", "empty", "another array", "other numbers"])
def test_a_damaged_cache_is_made_again(
    damage: str, cached: Path, omniglot: Omniglot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path))
    file, whole = tmp_path / cached.name, cached.read_bytes()
    if damage != "cut off":  # once, it is really unpacked again
        monkeypatch.setattr("kshot.data.pictures.omniglot.unpack", lambda packed: None)
        monkeypatch.setattr("kshot.data.pictures.omniglot._resized", lambda *asked: np.load(io.BytesIO(whole[32:])))
    if damage == "another array":
        write_array(file.name, np.zeros((3, 3), np.uint8))
    elif damage == "other numbers":
        write_array(file.name, np.zeros((32_460, 1, 28, 28), np.int8))
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes({"cut off": whole[:middle], "one bit": flipped, "empty": b""}[damage])
    again = Omniglot()
    items = np.arange(0, len(again), 997)
    assert torch.equal(again.gather(items), omniglot.gather(items))
    assert file.read_bytes() == whole


def small_tree(root: Path) -> None:
    """Two characters, one in each part, 20 drawings each, a pixel telling them apart."""
    for number, (part, alphabet) in enumerate((("images_background", "Greek"), ("images_evaluation", "Tibetan"))):
        folder = root / part / alphabet / "character01"
        folder.mkdir(parents=True)
        for drawer in range(1, 21):
            picture = Image.new("1", (105, 105), 1)
            picture.putpixel((drawer, 10 * number), 0)
            picture.save(folder / f"{number + 1:04}_{drawer:02}.png")


def test_official_trees_and_zips_read_the_same_and_survive_packing(tmp_path: Path) -> None:
    small_tree(tmp_path / "tree")
    zips = tmp_path / "zips"
    zips.mkdir()
    for part in ("images_background", "images_evaluation"):
        with zipfile.ZipFile(zips / f"{part}.zip", "w") as archive:
            for path in (tmp_path / "tree" / part).rglob("*.png"):
                archive.write(path, path.relative_to(tmp_path / "tree").as_posix())
    from_tree, from_zips = read_official(tmp_path / "tree"), read_official(zips)
    assert from_tree.characters == (("Greek", "character01"), ("Tibetan", "character01"))
    assert from_tree.background == {"Greek"}
    assert from_tree.ink.sum() == 40
    assert from_tree.ink[0, 0, 1]
    assert from_tree.ink[39, 10, 20]
    again: Drawings = unpack(pack(from_zips))
    assert np.array_equal(again.ink, from_tree.ink)
    assert again.fingerprint() == from_tree.fingerprint()


def test_official_files_with_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected images_background.zip or the folder images_background"):
        Omniglot(tmp_path)
    small_tree(tmp_path)
    gone = tmp_path / "images_background" / "Greek" / "character01" / "0001_07.png"
    content = gone.read_bytes()
    gone.unlink()
    with pytest.raises(DataError, match=r"Greek/character01 in .* has 19 drawings; expected 20"):
        read_official(tmp_path)
    gone.write_bytes(content[:40])
    with pytest.raises(DataError, match=r"0001_07.png in .* is not a drawing of Omniglot"):
        read_official(tmp_path)
    Image.new("1", (50, 50)).save(gone)
    with pytest.raises(DataError, match=r"has 50×50 pixels; Omniglot's have 105×105"):
        read_official(tmp_path)
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "images_background.zip").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(DataError, match=r"is not a whole zip file"):
        read_official(tmp_path / "zips")


def small_zip(archive: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(archive, "w", method) as opened:
        opened.writestr("images_background/Greek/character01/0001_01.png", content)
    return archive.read_bytes()


def test_a_zip_damaged_inside_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "images_background.zip"
    whole = small_zip(archive, bytes(range(256)) * 20)
    name = b"images_background/Greek/character01/0001_01.png"
    packed = 30 + len(name)  # a local header has 30 bytes before the name
    directory = whole.rindex(b"PK\x01\x02")
    damaged = {
        "deflated bytes": whole[:packed] + b"\xff" * 8 + whole[packed + 8 :],
        "method": whole[: directory + 10] + b"\x63" + whole[directory + 11 :],
        "encrypted": whole[: directory + 8] + b"\x01" + whole[directory + 9 :],
        "cut off": whole[: packed + 10],
    }
    for content in damaged.values():
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"images_background.zip.*Copy (it|the official files) again"):
            read_official(tmp_path)


def test_a_picture_broken_after_its_header_is_named(tmp_path: Path) -> None:
    small_tree(tmp_path)
    file = tmp_path / "images_background" / "Greek" / "character01" / "0001_07.png"
    content = file.read_bytes()
    data = content.index(b"IDAT")
    length = int.from_bytes(content[data - 4 : data], "big") - 10  # pixels end too early; what follows is no chunk
    file.write_bytes(content[: data - 4] + length.to_bytes(4, "big") + content[data:])
    with pytest.raises(DataError, match=r"0001_07.png in .* is not a drawing of Omniglot"):
        read_official(tmp_path)


def test_a_drawer_who_comes_twice_and_empty_trees_are_errors(tmp_path: Path) -> None:
    for part in ("images_background", "images_evaluation"):
        (tmp_path / part).mkdir()
    with pytest.raises(DataError, match=r"no drawings in .*images_background"):
        read_official(tmp_path)
    small_tree(tmp_path)
    first = tmp_path / "images_background" / "Greek" / "character01" / "0001_01.png"
    first.with_name("0009_01.png").write_bytes(first.read_bytes())
    with pytest.raises(DataError, match=r"Greek/character01 .*two drawings by drawer 01"):
        read_official(tmp_path)


def test_a_picture_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    small_tree(tmp_path)
    file = tmp_path / "images_background" / "Greek" / "character01" / "0001_07.png"
    file.unlink()
    file.mkdir()  # unreadable for any user, root included
    with pytest.raises(DataError, match=r"cannot read .*0001_07.png"):
        read_official(tmp_path)


@pytest.mark.slow
def test_the_official_zips_give_the_embedded_data(omniglot: Omniglot) -> None:
    folder = os.environ.get("KSHOT_OMNIGLOT_ZIPS")
    if folder is None:
        pytest.skip("set KSHOT_OMNIGLOT_ZIPS to the folder of the official zips to compare them with the embedded data")
    official = Omniglot(Path(folder))
    assert official.fingerprint == omniglot.fingerprint
    items = np.arange(len(omniglot))
    assert torch.equal(official.gather(items[::4]), omniglot.gather(items[::4]))


def test_the_embedded_vinyals_split_is_a_partition() -> None:
    parts = json.loads((EMBEDDED.parent / "vinyals.json").read_text())
    every = [name for names in parts.values() for name in names]
    assert len(every) == len(set(every)) == 1623
