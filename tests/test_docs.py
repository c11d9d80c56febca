"""Every ```python block of the pages and of the README runs as it stands.

The blocks of one page share one namespace and one temporary working folder, in order, as a reader would type them. A block that
cannot run here says so, with its reason, on the line before the fence: `<!-- not executed: needs your own pictures -->`.

A ```console block runs where the line before its fence is `<!-- executed -->`. What it prints stands in a ```text block after
`<!-- printed -->`: its lines come in that order among those printed, whatever their numbers are; a line that ends with `…` is cut off.
"""

import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kshot.episodes.family import Classification
from kshot.learners.learner import Learner

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<language>[\w+.-]*)(?P<rest>.*)$")
_NOT_EXECUTED = re.compile(r"<!-- not executed(?P<reason>.*)-->")
_EXECUTED, _PRINTED = "<!-- executed -->", "<!-- printed -->"
_MISSPELT = {"py", "python3", "Python", "pycon", "ipython"}


@dataclass(frozen=True)
class Block:
    """One fenced block: the line of its first statement, its code, why it does not run (empty when it does), and its language."""

    line: int
    code: str
    not_executed: str
    language: str = "python"


def blocks_of(text: str) -> list[Block]:
    """The Python blocks of a page in order; a ValueError names the line of one that is not well written."""
    lines = text.splitlines()
    blocks: list[Block] = []
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence is None:
            number += 1
            continue
        closing = re.compile(rf"^ *{re.escape(fence['ticks'][0])}{{{len(fence['ticks'])},}} *$")
        end = next((n for n in range(number + 1, len(lines)) if closing.match(lines[n])), None)
        if end is None:
            raise ValueError(f"line {number + 1}: a fence that never closes")
        if fence["language"] in _MISSPELT:
            raise ValueError(f"line {number + 1}: write ```python instead of ```{fence['language']}, so that the block is executed")
        before = lines[number - 1] if number else ""
        if fence["language"] == "python":
            code = textwrap.dedent("\n".join(lines[number + 1 : end])) + "\n"
            blocks.append(Block(number + 2, code, _reason(before, number)))
        elif (fence["language"], _marked(before)) in (("console", _EXECUTED), ("text", _PRINTED)):
            blocks.append(Block(number + 2, "\n".join(lines[number + 1 : end]) + "\n", "", fence["language"]))
        elif _marked(before) in (_EXECUTED, _PRINTED):
            raise ValueError(f"line {number}: `executed` stands before ```console, `printed` before ```text; found ```{fence['language']}")
        number = end + 1
    return blocks


def _marked(before: str) -> str:
    """The mark of the line before a fence, which may also say that the block is wide (tests/test_site.py)."""
    return before.partition(" <!-- wide:")[0].strip()


def _reason(before: str, number: int) -> str:
    comment = _NOT_EXECUTED.search(before)
    if comment is None:
        return ""
    reason = comment["reason"].removeprefix(":").strip()
    if not reason or not comment["reason"].startswith(":"):
        raise ValueError(f"line {number}: `not executed` needs its reason: <!-- not executed: reason -->")
    return reason


def run_page(name: str, blocks: list[Block]) -> None:
    """Execute the blocks that run, in one module of their own; tracebacks show the page's line numbers."""
    module = types.ModuleType("kshot_page")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    printed = ""
    try:
        for block in blocks:
            if block.language == "console":
                printed = run_commands(name, block)
            elif block.language == "text":
                check_printed(name, block, printed)
            elif not block.not_executed:
                exec(compile("\n" * (block.line - 1) + block.code, name, "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]


def run_commands(name: str, block: Block) -> str:
    """Run a block of commands in the working folder, as a reader whose environment is active would; return what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-eu", "-c", block.code], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{name}, line {block.line}: the commands ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def check_printed(name: str, block: Block, printed: str) -> None:
    """Check that the lines of a block were printed in this order, among others, whatever their numbers."""

    def without_numbers(text: str) -> str:
        return re.sub(r"\d+([.,]\d+)*", "0", text).strip()

    left = iter(printed.splitlines())
    for number, line in enumerate(block.code.splitlines()):
        shown, cut = without_numbers(line.removesuffix("…")), line.endswith("…")
        found = any(one.startswith(shown) if cut else one == shown for one in map(without_numbers, left))
        assert found, f"{name}, line {block.line + number}: {line!r} was not printed after the lines before it, but\n{printed}"


PAGE = """```python
a = 1
```

<!-- not executed: needs a GPU -->
```python
b
```
- item

    ```python title='x'
    if a:
        c = 2
    ```
"""


def test_blocks_are_found_and_opt_out_with_a_reason() -> None:
    assert blocks_of(PAGE) == [
        Block(2, "a = 1\n", ""),
        Block(7, "b\n", "needs a GPU"),
        Block(12, "if a:\n    c = 2\n", ""),
    ]


COMMANDS = """<!-- executed -->
```console
echo 'one 1.25'; echo two
echo three
```

<!-- printed -->
```text
one 7.50
thr…
```
"""


def test_commands_run_and_print_what_the_page_says() -> None:
    run_page("page.md", blocks_of(COMMANDS))
    with pytest.raises(AssertionError, match=r"line 10: 'one 7\.50' was not printed"):
        run_page("page.md", blocks_of(COMMANDS.replace("one 7.50", "three").replace("thr…", "one 7.50")))
    with pytest.raises(AssertionError, match="line 3: the commands ended with 1"):
        run_page("page.md", blocks_of(COMMANDS.replace("echo three", "false")))
    with pytest.raises(ValueError, match="line 1: `executed` stands before ```console"):
        blocks_of(COMMANDS.replace("```console", "```bash"))


def test_a_block_inside_another_is_text() -> None:
    assert blocks_of("````markdown\n```python\nraise SystemExit\n```\n````\n```bash\nls\n```\n") == []


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- not executed -->\n```python\n1\n```\n", "line 1: `not executed` needs its reason"),
        ("<!-- not executed:  -->\n```python\n1\n```\n", "line 1: `not executed` needs its reason"),
        ("text\n```py\n1\n```\n", "line 2: write ```python"),
        ("```python\n1\n", "line 1: a fence that never closes"),
    ],
)
def test_a_badly_written_block_is_named(page: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        blocks_of(page)


def test_a_fault_in_a_page_shows_its_line_and_blocks_share_names() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_page("page.md", [Block(3, "a = 0\n", ""), Block(7, "raise\n", "for the test"), Block(11, "\n1 / a\n", "")])
    last = caught.traceback[-1]
    assert (str(last.path).endswith("page.md"), last.lineno + 1) == (True, 12)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "MPLBACKEND", "Agg")
    run_page(str(page), blocks)
    ran = [str(block.line) for block in blocks if not block.not_executed]
    left = [f"{block.line} ({block.not_executed})" for block in blocks if block.not_executed]
    with capsys.disabled():
        print(
            f"\n  {page.relative_to(ROOT)}: ran lines {', '.join(ran) or 'none'}; not executed: {', '.join(left) or 'none'}",
            end=" ",
        )


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_reference_lists_every_public_name_with_its_module() -> None:
    import kshot

    public, _, beyond = _page("reference.md").partition("## Beyond `__all__`")
    listed = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| .", public, re.M)
    rows = {name for name, _ in listed}
    missing = [f"| `{name}` | `{getattr(kshot, name).__module__}` | … |" for name in kshot.__all__ if name not in rows]
    assert not missing, "public names without a row in docs/reference.md; add to the table where they belong:\n" + "\n".join(missing)
    assert [name for name, _ in sorted(listed)] == kshot.__all__
    assert [name for name, module in listed if getattr(kshot, name).__module__ != module] == []
    for names, module in re.findall(r"^\| (`.*`) \| `([\w.]+)` \| .", beyond, re.M):
        for name in re.findall(r"`(\w+)`", names):
            assert name not in kshot.__all__
            assert hasattr(import_module(module), name), f"{module} has no {name}"


def test_every_learner_s_page_shows_its_signature() -> None:
    import kshot

    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "learners").glob("*.md")))
    written = re.findall(r"`kshot\.([A-Z]\w*)\(([^`]*)\)`", text)
    shown: dict[str, Callable[..., object]] = {}
    for name, parameters in written:
        namespace: dict[str, Any] = {"Classification": Classification}
        exec(f"def shown({parameters}): ...", namespace)
        assert name not in shown, f"{name} is shown twice"
        shown[name] = namespace["shown"]
    classes = {name for name in kshot.__all__ if isinstance(getattr(kshot, name), type)} - {"Learner"}
    learners = {name for name in classes if issubclass(getattr(kshot, name), Learner)}
    missing = sorted(f"`kshot.{name}{inspect.signature(getattr(kshot, name))}`" for name in learners - set(shown))
    assert not missing, "learners without a page in docs/learners that shows their signature, such as\n" + "\n".join(missing)
    assert set(shown) == learners | {"InformationMaximisation", "OptimalTransport", "PrototypeRectification", "SoftKMeans"}
    for name, function in shown.items():
        assert _plain(function) == _plain(getattr(kshot, name)), f"the documented signature of {name} is not that of the class"


def _plain(made: Callable[..., object]) -> list[tuple[str, object, object]]:
    """Name, kind and default of each parameter."""
    return [(one.name, one.kind, one.default) for one in inspect.signature(made).parameters.values()]


def test_every_word_and_flag_is_on_the_page_of_the_command_line() -> None:
    import typer.main

    from kshot.cli import app

    page = _page("stages/command-line.md")
    sections = {part.split()[1]: part for part in page.split("\n## ") if part.startswith("kshot ")}
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert set(sections) == set(commands)
    for word, command in commands.items():
        flags = {flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")} - {"--help"}
        found = set(re.findall(r"`(--[a-z-]+)", sections[word]))
        assert flags <= found, word
        assert set(re.findall(r"^\| `(--[a-z-]+)", sections[word], re.M)) <= flags, word


def test_every_setting_of_a_recipe_is_on_the_page_with_its_default() -> None:
    from kshot.data.table import KINDS
    from kshot.workflows.recipe import Recipe

    page = _page("stages/command-line.md")
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]*) \|", page.partition("## Settings of a recipe")[2], re.M))
    defaults = {"seed": Recipe().seed} | {
        f"{table}.{key}": value
        for table, settings in json.loads(json.dumps(asdict(Recipe()))).items()  # `as_dict` leaves out what came later
        if isinstance(settings, dict)
        for key, value in settings.items()
        if key != "arguments"
    }
    written = {
        key: str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, (int, float)) else f"`{value}`"
        for key, value in defaults.items()
    }
    further = {f"data.{setting}" for kind in KINDS.values() for setting in kind.settings()} - set(written)
    assert further <= set(rows)  # settings of kinds of data, which are no fields of a recipe
    assert {key: value for key, value in rows.items() if key not in further} == written


def test_your_own_learner_takes_at_most_40_lines() -> None:
    first = blocks_of(_page("your-own-learner.md"))[0]
    assert first.not_executed == ""
    assert len(first.code.splitlines()) <= 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_shows_something_to_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "```python" in text or "```console" in text or page.name in ("changelog.md", "architecture.md")
