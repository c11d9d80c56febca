"""The pages as a reader sees them: code that fits the column, on a desktop, without scrolling sideways."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]

WIDEST = 88
"""Columns of code that the site shows without a scroll bar; the README is shown about as wide."""

_FENCE = re.compile(r"^ *(`{3,}|~{3,})")
_WIDE = re.compile(r"<!-- wide: \S.*-->")
_CONTAINER = re.compile(r"^ *([-*+] |\d+\. |!!! |\?\?\?|=== |\[\^|: )")


def too_wide(text: str) -> list[int]:
    """Numbers of the lines inside fences that are wider than the column.

    A block whose lines mean nothing when they are broken, such as the output of a program, says so on the line before its fence:
    `<!-- wide: the output of kshot compare -->`.
    """
    closing, allowed, found = "", False, []
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line)
        if not closing and fence:
            closing, allowed = fence[1], bool(_WIDE.search(lines[number - 2])) if number > 1 else False
        elif closing and fence and fence[1].startswith(closing) and not line.strip().strip("`~"):
            closing = ""
        elif closing and not allowed and len(line) > WIDEST:
            found.append(number)
    return found


def indented_code(text: str) -> Iterator[int]:
    """Numbers of the lines where a code block without a fence begins: four spaces, at the top level of the page."""
    closing, container, before = "", False, ""
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and (not closing or fence[1].startswith(closing)):
            closing = "" if closing else fence[1]
        elif not closing and line.strip():
            indented = line.startswith("    ")
            if indented and not before and not container:
                yield number
            if not indented:
                container = bool(_CONTAINER.match(line))
        before = line.strip()


WIDE = "x" * (WIDEST + 1)


def test_wide_lines_are_found_inside_fences_alone() -> None:
    assert too_wide(f"{WIDE}\n```text\n{WIDE}\nshort\n```\n{WIDE}\n") == [3]
    assert too_wide(f"<!-- wide: a table -->\n```text\n{WIDE}\n```\n```text\n{WIDE}\n```\n") == [6]
    assert too_wide(f"<!-- wide: -->\n```text\n{WIDE}\n```\n") == [3]
    assert too_wide(f"````markdown\n```python\n```\n{WIDE}\n````\n") == [4]


def test_code_without_a_fence_is_found() -> None:
    assert list(indented_code("text\n\n    code\n    more\n")) == [3]
    assert list(indented_code("- item\n\n    of the item\n\n!!! note\n    inside\n\n    inside\n")) == []
    assert list(indented_code("```python\ndef f():\n\n    pass\n```\n")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_fits_its_column(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert too_wide(text) == [], f"wider than {WIDEST} columns; break the lines, or write `<!-- wide: reason -->` before the fence"
    assert list(indented_code(text)) == [], "code stands in a fence, with its language; equations stand between $$ and $$"
