"""Photographs of ink on paper, given to the learner of Omniglot's drawings.

No photographs are at hand that may ship, so they are made: drawings of test characters as a camera would see them, with another pen
on other paper in other light. The learner must tell them apart nearly as well as the drawings themselves.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kshot.data.pictures.omniglot import Omniglot
from kshot.data.pictures.omniglot_archive import EMBEDDED, Drawings
from kshot.tasks.classifier import Classifier

EPISODES, WAY = 2, 5


def photograph(
    ink: np.ndarray, random: np.random.Generator, *, pen: int, paper: tuple[int, int, int], colour: tuple[int, int, int], aspect: float
) -> Image.Image:
    """A drawing (105, 105) as a photograph: another pen, coloured ink on coloured paper, uneven light, grain, another aspect."""
    large = Image.fromarray(np.where(ink, 255, 0).astype(np.uint8)).resize((420, 420), Image.Resampling.BICUBIC)
    large = large.filter(ImageFilter.GaussianBlur(3)).point(lambda value: 255 if value > 127 else 0)
    if pen > 0:
        large = large.filter(ImageFilter.MaxFilter(2 * pen + 1))
    elif pen < 0:
        large = large.filter(ImageFilter.MinFilter(-2 * pen + 1))
    width, height = round(560 * max(1.0, aspect)), round(560 * max(1.0, 1 / aspect))
    mask = Image.new("L", (width, height), 0)
    mask.paste(large, (int(random.integers(40, width - 459)), int(random.integers(40, height - 459))))
    share = np.asarray(mask.filter(ImageFilter.GaussianBlur(1.5)), dtype=np.float64)[..., None] / 255
    rgb = (1 - share) * np.array(paper) + share * np.array(colour)
    light = 0.75 + 0.25 * np.linspace(0, 1, width)[None, :, None] * np.linspace(0.6, 1, height)[:, None, None]
    grain = random.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(rgb * light + grain, 0, 255).astype(np.uint8))


WAYS_TO_DRAW: dict[str, dict[str, object]] = {
    "blue ink on yellow paper": {"pen": 0, "paper": (240, 225, 150), "colour": (30, 50, 150), "aspect": 1.0},
    "light on dark": {"pen": 0, "paper": (40, 45, 50), "colour": (235, 230, 220), "aspect": 1.0},
    "a broad pen": {"pen": 6, "paper": (235, 235, 230), "colour": (30, 30, 30), "aspect": 1.0},
    "a thin pen": {"pen": -5, "paper": (235, 235, 230), "colour": (60, 60, 60), "aspect": 1.0},
    "a wide picture": {"pen": 0, "paper": (230, 230, 230), "colour": (120, 20, 30), "aspect": 1.8},
    "a tall picture": {"pen": 2, "paper": (230, 230, 230), "colour": (20, 90, 40), "aspect": 0.6},
}


def accuracy(drawings: Drawings, render: Callable[[np.ndarray, np.random.Generator], Image.Image]) -> float:
    """5-way 1-shot accuracy, two queries a class, on test characters: support and queries both rendered."""
    names = json.loads((EMBEDDED.parent / "vinyals.json").read_text())["test"]
    place = {"/".join(character): number for number, character in enumerate(drawings.characters)}
    random = np.random.default_rng(0)
    right = []
    for _ in range(EPISODES):
        chosen = [names[number] for number in random.permutation(len(names))[:WAY]]
        pictures = {}
        for name in chosen:
            drawers = random.permutation(20)[:3]
            pictures[name] = [render(drawings.ink[20 * place[name] + drawer], random) for drawer in drawers]
        classifier = Classifier("omniglot-protonet", {name: [shown[0]] for name, shown in pictures.items()})
        answers = classifier.predict([picture for shown in pictures.values() for picture in shown[1:]])
        wanted = [name for name in pictures for _ in range(2)]
        right += [answer.label == name for answer, name in zip(answers, wanted, strict=True)]
    return float(np.mean(right))


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS_TO_DRAW)
def test_photographs_are_told_apart(how: str, drawings: Drawings) -> None:
    reached = accuracy(drawings, lambda ink, random: photograph(ink, random, **WAYS_TO_DRAW[how]))  # type: ignore[arg-type]
    print(f"{how}: {100 * reached:.1f} %")
    assert reached >= 0.9


@pytest.mark.slow
def test_a_scan_of_the_drawing_itself_is_what_training_saw(drawings: Drawings, upright_omniglot: Omniglot, tmp_path: Path) -> None:
    for number in (0, 777, 32_459):
        path = tmp_path / f"{number}.png"
        Image.fromarray(~drawings.ink[number]).save(path)
        kept = upright_omniglot.preprocess.read(Image.open(path))
        assert np.array_equal(kept, upright_omniglot.gather(np.array([number]))[0].numpy())
