"""Equations of the pages: LaTeX becomes MathML while the site is built, all of it, without a script and without the network."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
MATHML = "{http://www.w3.org/1998/Math/MathML}"

_BLOCK = re.compile(r"^\$\$\n(.*?)\n\$\$$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<![\\$`\w])\$([^\s$`][^$`\n]*?)(?<!\s)\$(?![\w$])")
_CODE = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1 *$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def equations() -> ModuleType:
    pytest.importorskip("latex2mathml")
    spec = importlib.util.spec_from_file_location("equations", ROOT / "scripts" / "site" / "equations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_marked_becomes_mathml_and_the_rest_stays(equations: ModuleType) -> None:
    page = '<p>a <span class="arithmatex">\\(x &lt; y\\)</span> b</p><div class="arithmatex">\\[\nx^2\n\\]</div><code>\\(z\\)</code>'
    made = equations.on_page_content(page, page=None, config=None, files=None)
    assert made.count("<math") == 2
    assert 'alttext="x &lt; y"' in made
    assert '<div class="equation" data-search-exclude><math' in made
    assert made.startswith("<p>a <math")
    assert made.endswith("<code>\\(z\\)</code>")
    assert "arithmatex" not in made


def test_lines_and_columns_are_those_of_the_equation(equations: ModuleType) -> None:
    made = ElementTree.fromstring(equations.mathml(r"\begin{aligned} a &= b \\ &= \frac{c}{d} & (1) \end{aligned}", block=True))
    rows = made.findall(f"{MATHML}mtable/{MATHML}mtr")
    assert [len(row) for row in rows] == [2, 3]
    assert ["".join(cell.itertext()) for row in rows for cell in row] == ["a", "=b", "", "=cd", "(1)"]


def test_an_unknown_command_stops_the_build(equations: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"no MathML for a part of the equation .*nonsense.* Write it another way"):
        equations.mathml(r"a + \nonsense", block=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_equation_of_a_page_has_its_mathml(equations: ModuleType, page: Path) -> None:
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    assert len(re.findall(r"^\$\$$", text, re.MULTILINE)) == 2 * len(_BLOCK.findall(text)), "an equation that never closes"
    for latex in _BLOCK.findall(text):
        ElementTree.fromstring(equations.mathml(latex, block=True))
    for latex in _INLINE.findall(_BLOCK.sub("", text)):
        ElementTree.fromstring(equations.mathml(latex, block=False))


def test_the_pages_load_nothing_from_elsewhere() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in settings
    assert re.findall(r"https?://", settings) == []
    styles = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "stylesheets").iterdir())
    assert re.findall(r"@import|url\(", styles) == []
