"""The pictures of the pages: each has its script and its page, every page of the concepts shows one, and drawing again changes no byte."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kshot.learners.gradient.maml import MAML

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FOLDER = DOCS / "images" / "concepts"
CONCEPTS = sorted((DOCS / "concepts").glob("*.md"))
QUICK = (
    "augmentation", "clipping", "cost", "diversity", "episode", "how-sure", "loops", "memory", "pixels", "pretrained", "shots",
    "stopping", "suggest", "task",
)  # fmt: skip
"""Drawn again by every run of the tests; `maml-step` and `prototypes` compute for longer."""

_SHOWN = re.compile(r"!\[(?P<words>[^\]]*)\]\((?P<path>[^)#]*\.svg)#only-(?P<variant>light|dark)\)")


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`scripts/pictures/__main__.py` as a module."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("pictures.__main__")


def shown(page: Path) -> dict[str, set[str]]:
    """Name of a picture → its variants that the page shows; a file that is not there, or a picture without words, is a fault."""
    found: dict[str, set[str]] = {}
    for picture in _SHOWN.finditer(page.read_text(encoding="utf-8")):
        path, variant = (page.parent / picture["path"]).resolve(), picture["variant"]
        assert path.is_file(), f"{page.name} shows {picture['path']}, which is not there: run `make pictures`"
        assert path.stem.endswith(f"-{variant}"), f"{page.name}: {path.name} is shown as the {variant} variant"
        assert len(picture["words"].split()) >= 6, f"{page.name}: say in words what {path.name} shows"
        found.setdefault(path.stem.removesuffix(f"-{variant}"), set()).add(variant)
    return found


@pytest.mark.parametrize("page", [*CONCEPTS, DOCS / "index.md"], ids=lambda page: page.name)
def test_every_page_of_the_concepts_shows_a_picture_for_light_and_dark(page: Path) -> None:
    found = shown(page)
    assert found, f"{page.name} shows no picture of docs/images/concepts"
    assert {name: variants for name, variants in found.items() if variants != {"light", "dark"}} == {}


def test_every_picture_has_its_script_and_its_page(pictures: ModuleType) -> None:
    names = set(pictures.PICTURES)
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}-{variant}.svg" for name in names for variant in ("light", "dark")}
    assert set().union(*(shown(page) for page in DOCS.rglob("*.md"))) == names
    assert set(QUICK) <= names


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_drawing_again_gives_the_same_bytes(pictures: ModuleType, name: str) -> None:
    for file, content in pictures.files(name).items():
        same = (FOLDER / file).read_bytes() == content
        assert same, f"{file} is not what its script draws (with the versions of constraints.txt): run `make pictures`, and look at it"


def test_svg_holds_no_date_no_version_and_no_address_to_load(pictures: ModuleType) -> None:
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "dc:date" not in text, path.name
        assert not re.search(r"matplotlib(?:\.org| v?\d| version)", text.casefold()), path.name
        assert re.findall(r'(?:href|src)="(?!#|data:)[^"]*"', text) == [], path.name


def test_the_outer_move_of_the_picture_is_downhill_on_its_surface(pictures: ModuleType) -> None:
    maml_step = importlib.import_module("pictures.maml_step")
    gradient, width = maml_step.outer_gradient(maml_step.START, MAML), 1e-2
    w, b = maml_step.START

    def loss(slope: float, intercept: float) -> float:
        batch, learner = maml_step.tasks(), maml_step.learner_at((slope, intercept)).eval()
        answers = learner.predict(learner.adapt(batch.support_x, batch.support_y), batch.query_x)
        return float((answers - batch.query_y).square().mean())

    differences = (loss(w + width, b) - loss(w - width, b), loss(w, b + width) - loss(w, b - width))
    np.testing.assert_allclose(gradient, np.array(differences) / (2 * width), rtol=1e-3)
    assert loss(*(np.array(maml_step.START) - 0.1 * gradient)) < loss(w, b)
