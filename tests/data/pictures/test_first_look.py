"""Photographs given to a learner of ink are told after a look at a few of them; drawings never are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from kshot.data.pictures.first_look import SAMPLE, first_look
from kshot.data.pictures.image_folder import ImageFolder
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.errors import DataError


def photograph(path: Path, seed: int) -> Path:
    """Rough blobs of many colours and sizes all over the picture, as in a photograph of things."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (120, 90), tuple(random.integers(40, 200, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, r = random.uniform(0, 120), random.uniform(0, 90), random.uniform(4, 22)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(random.integers(0, 255, 3).tolist()))
    rough = np.asarray(image, float) + random.normal(0, 45, (90, 120, 3))
    Image.fromarray(rough.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1)).save(path)
    return path


def drawing(path: Path, seed: int) -> Path:
    """A pen stroke on paper in uneven light."""
    random = np.random.default_rng(seed)
    image = Image.new("L", (200, 160), 0)
    ImageDraw.Draw(image).line([tuple(random.uniform(40, 120, 2)) for _ in range(5)], fill=255, width=int(random.integers(3, 8)))
    ink = np.asarray(image.filter(ImageFilter.GaussianBlur(1)), float)[..., None] / 255
    light = np.linspace(0.7, 1, 200)[None, :, None]
    paper = np.array([230.0, 225, 200]) * (1 - ink) + np.array([30.0, 40, 90]) * ink
    Image.fromarray((paper * light + random.normal(0, 4, (160, 200, 1))).clip(0, 255).astype(np.uint8)).save(path)
    return path


def blank(path: Path) -> Path:
    Image.new("RGB", (60, 60), "white").save(path)
    return path


@pytest.mark.slow
def test_photographs_and_drawings_are_told_apart(tmp_path: Path) -> None:
    photographs = [photograph(tmp_path / f"p{seed}.png", seed) for seed in range(8)]
    drawings = [drawing(tmp_path / f"d{seed}.png", seed) for seed in range(8)]
    assert first_look(photographs, Ink()).photographs
    assert not first_look(drawings, Ink()).photographs
    assert first_look(drawings, Ink()).notes() == ()
    assert not first_look([*drawings[:4], *photographs[:4]], Ink()).photographs  # no more than half
    assert not first_look(photographs, Picture()).photographs  # what reads photographs
    assert not first_look([], Ink()).photographs
    assert first_look(drawings * 8, Ink()).pictures == SAMPLE


@pytest.mark.slow
def test_a_folder_of_photographs_is_refused_after_the_look_if_one_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for seed in range(4):
            photograph(tmp_path / name / f"{seed}.png", seed + 10 * (name == "b"))
    assert any("these look like photographs; this learner reads ink on paper" in note for note in ImageFolder(tmp_path, Ink()).notes)
    blank(tmp_path / "b" / "9.png")
    monkeypatch.setattr("kshot.data.pictures.image_folder.digests", None)  # nothing is read after the look
    with pytest.raises(DataError, match=r"these look like photographs; this learner reads ink on paper.*Of 9.*1 cannot.*kshot train"):
        ImageFolder(tmp_path, Ink())


@pytest.mark.slow
def test_a_photograph_outside_the_look_that_cannot_be_read_ends_the_reading(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for seed in range(SAMPLE):
            photograph(tmp_path / name / f"{seed:02}.png", seed + 100 * (name == "b"))
    readable = [path for name in ("a", "b") for path in sorted((tmp_path / name).iterdir())]
    for path in readable:  # only those that are taken for ink
        if first_look([path], Ink()).unread:
            path.unlink()
    everything = sorted(tmp_path.rglob("*.png"))
    looked = {everything[number * len(everything) // SAMPLE] for number in range(SAMPLE)}
    outside = next(path for path in everything if path not in looked)
    blank(outside)
    read: list[int] = []
    with pytest.raises(DataError, match=r"these look like photographs; this learner reads ink on paper\. .*found no ink.* For photographs"):
        ImageFolder(tmp_path, Ink(), progress=lambda done, _: read.append(done))
    assert len(read) < len(everything)
