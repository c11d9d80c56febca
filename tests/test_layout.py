"""The shape of the package: the order of the path, and what no module of it may do.

Everything is read from the source with `ast`; nothing but the last three tests imports kshot. The order is the one that
`docs/architecture.md` draws: change the two together.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "kshot"

STAGES = ("backbones", "data", "encoders", "episodes", "learners", "meta_train", "results", "saved", "tasks", "web", "workflows")
LEAVES = (
    "allocator",
    "arguments",
    "atomic",
    "construct",
    "device",
    "errors",
    "exclusive",
    "figure",
    "passes",
    "printable",
    "regular_file",
    "seeding",
    "short_repr",
    "size_limit",
    "standard_input",
    "tensor_file",
    "value_types",
    "version",
)
COMPOSING = {
    "interruption": 0,
    "flags": 0,
    "terminal": 1,
    "tables": 2,
    "exit_code": 2,
    "labelling": 3,
    "running": 3,
    "saving": 3,
    "quantity_commands": 3,
    "multi_label_commands": 4,
    "train_commands": 5,
    "score_commands": 5,
    "show_command": 5,
    "fit_command": 5,
    "predict_command": 5,
    "task_commands": 5,
    "label_commands": 5,
    "embed_command": 5,
    "export_command": 5,
    "serve_commands": 5,
    "__init__": 6,
    "cli": 6,
    "__main__": 7,
}
"""The root's modules that make the command and the public surface; each imports only those of a smaller rank."""

BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc"}
UNPICKLING_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
DYNAMIC = {"__import__", "import_module"}
MOST_NAMES_BESIDE_LEARNERS = 30
LONGEST_FILE = 300

FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(file: Path) -> str:
    """`src/kshot/data/pictures/omniglot.py` is `kshot.data.pictures.omniglot`; an `__init__.py` keeps that last part."""
    return ".".join(file.relative_to(SOURCE).with_suffix("").parts)


@cache
def file_of(module: str) -> Path:
    return SOURCE.joinpath(*module.split(".")).with_suffix(".py")


@cache
def is_folder(module: str) -> bool:
    """A folder of modules. One of data, such as `saved/shipped/` beside `saved/shipped.py`, is none."""
    return any(SOURCE.joinpath(*module.split(".")).glob("*.py"))


def room_of(module: str) -> str:
    """The stage, or the root's module: the second part of the name (`kshot` alone is its `__init__`)."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def kshot_imports(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """(line, module, name) of each import of kshot, wherever it stands; the name is empty when a whole module is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "kshot":
                    yield node.lineno, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level + (node.module or ""), ""
            elif node.module and node.module.split(".")[0] == "kshot":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    if is_folder(node.module) and (file_of(inner).exists() or is_folder(inner)):
                        yield node.lineno, inner, ""  # `from kshot.results import plots` names the module itself
                    else:
                        yield node.lineno, node.module, alias.name


@cache
def imports_of(file: Path) -> tuple[tuple[int, str, str], ...]:
    return tuple(kshot_imports(tree_of(file)))


def order_fault(importer: str, imported: str) -> str:
    """Why a module of the room `importer` may not import from the room `imported`; empty when it may."""
    if imported in LEAVES:
        return ""
    if importer in LEAVES:
        return f"{importer}.py is a leaf: it imports only leaves"
    if unknown := {importer, imported} - {*STAGES, *COMPOSING}:
        return f"{unknown.pop()} is neither a stage, a leaf nor a composing module"
    if imported in STAGES:
        if importer in STAGES and STAGES.index(imported) > STAGES.index(importer):
            return f"{imported}/ comes after {importer}/ on the path"
        return ""
    if importer in STAGES:
        return f"{imported} puts stages together; no stage may import it"
    if COMPOSING[imported] >= COMPOSING[importer]:
        works = "labelling, running, saving, quantity_commands ← multi_label_commands"
        order = f"interruption, flags ← terminal ← tables, exit_code ← {works} ← the modules of commands ← __init__, cli"
        return f"{importer} does not come after {imported}: {order}"
    return ""


def definition_fault(module: str, name: str) -> str:
    """Why `from module import name` does not name the module that defines the thing; empty when it does."""
    if module.startswith("."):
        return "a relative import; name the module in full"
    if is_folder(module):
        return f"goes through {module}/__init__.py; name the module that defines {name or 'the thing'}"
    if not name or not file_of(module).exists() or name in names_of(file_of(module)):
        return ""
    return f"{module} does not define {name}; name the module that does"


def defined_names(tree: ast.Module) -> set[str]:
    """What a module defines at its top level itself: classes, functions and assigned names, not what it imports."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
    return names


@cache
def names_of(file: Path) -> set[str]:
    return defined_names(tree_of(file))


def unpickling(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, what) of everything that reads or writes pickles; `torch.load(…, weights_only=True)` reads tensors alone."""
    tensors_alone = {
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func) == "torch.load"
        and any(one.arg == "weights_only" and isinstance(one.value, ast.Constant) and one.value.value is True for one in node.keywords)
    }
    for node in ast.walk(tree):
        if node in tensors_alone:
            continue
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, a.name) for a in names if a.name.split(".")[0] in UNPICKLING_MODULES)
                yield from ((node.lineno, f"{a.name} as {a.asname}") for a in names if a.asname and a.name == "torch")  # hides torch.load
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] in UNPICKLING_MODULES:
                    yield node.lineno, module
                if module.split(".")[0] == "torch":
                    yield from ((node.lineno, f"torch.{a.name}") for a in names if a.name in ("load", "save"))
            case ast.Attribute(attr="load" | "save") if ast.unparse(node).startswith("torch."):
                yield node.lineno, ast.unparse(node)
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=False)):
                pass
            case ast.keyword(arg="allow_pickle", value=value):
                yield value.lineno, "allow_pickle"


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one import cycle in order, or nothing."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for imported in sorted(graph.get(module, ())):
            if found := visit(imported, [*path, module]):
                return found
        done.add(module)
        return []

    for module in graph:
        if found := visit(module, []):
            return found
    return []


# The checks themselves, on cases small enough to read.


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("episodes", "data", True),
        ("episodes", "episodes", True),
        ("data", "episodes", False),
        ("encoders", "data", True),
        ("encoders", "learners", False),
        ("encoders", "saved", False),
        ("tasks", "encoders", True),
        ("data", "errors", True),
        ("errors", "atomic", True),
        ("results", "figure", True),
        ("figure", "results", False),
        ("atomic", "data", False),
        ("tasks", "workflows", False),
        ("workflows", "tasks", True),
        ("terminal", "workflows", True),
        ("workflows", "terminal", False),
        ("terminal", "flags", True),
        ("cli", "terminal", True),
        ("cli", "__init__", False),
        ("flags", "workflows", True),
        ("flags", "terminal", False),
        ("data", "surprise", False),
        ("surprise", "data", False),
    ],
)
def test_the_order_is_judged_as_the_path_says(importer: str, imported: str, allowed: bool) -> None:
    assert (order_fault(importer, imported) == "") is allowed


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import kshot.errors\ndef f():\n    from kshot.nowhere.draw import draw\nfrom .x import y\nfrom torch import nn\n"
    assert list(kshot_imports(ast.parse(source))) == [
        (1, "kshot.errors", ""),
        (4, ".x", ""),
        (3, "kshot.nowhere.draw", "draw"),
    ]


def test_an_import_through_a_folder_is_a_fault() -> None:
    assert "goes through kshot.data/__init__.py" in definition_fault("kshot.data", "Omniglot")
    assert "does not define Path" in definition_fault("kshot.atomic", "Path")
    assert definition_fault("kshot.atomic", "write_bytes") == ""


def test_pickles_are_found() -> None:
    source = """import pickle
torch.load("x")
numpy.load("x", allow_pickle=True)
numpy.load("x", allow_pickle=False)
from torch.serialization import load
from joblib.pool import dump
import torch as t
torch.serialization.load("x")
safetensors.torch.load(data)
torch.load("x", weights_only=True)
torch.load("x", weights_only=False)
torch.save("x", weights_only=True)
"""
    assert sorted(unpickling(ast.parse(source))) == [
        (1, "pickle"),
        (2, "torch.load"),
        (3, "allow_pickle"),
        (5, "torch.load"),
        (6, "joblib.pool"),
        (7, "torch as t"),
        (8, "torch.serialization.load"),
        (11, "torch.load"),
        (12, "torch.save"),
    ]


def test_a_cycle_is_found() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


# The package.


def test_the_alphabet_is_the_order_of_the_path() -> None:
    assert list(STAGES) == sorted(STAGES)


def test_the_root_holds_only_what_the_design_names() -> None:
    modules = {file.stem for file in PACKAGE.glob("*.py")}
    assert modules <= {*LEAVES, *COMPOSING}, "a new root module: give it a stage, or change this test and the page together"
    assert {file.relative_to(PACKAGE).parts[0] for file in FILES if file.parent != PACKAGE} <= set(STAGES)


def test_the_architecture_page_lists_the_same_stages() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)/` \|", page, flags=re.MULTILINE) == list(STAGES)
    assert " → ".join(STAGES) in " ".join(page.split())


def test_imports_follow_the_path() -> None:
    faults = []
    for file in FILES:
        for line, module, name in imports_of(file):
            importer, where = room_of(module_of(file)), f"{file.relative_to(ROOT)}:{line}: "
            fault = definition_fault(module, name) or order_fault(importer, room_of(module))
            faults += [where + fault] if fault else []
    assert not faults, "\n".join(faults)


def test_no_import_cycles() -> None:
    graph = {module_of(file): {module for _, module, _ in imports_of(file)} for file in FILES}
    assert cycle_in(graph) == []


FAMILIES = ("gradient", "learned_updates", "memory", "metric", "refinement", "transfer")
"""Folders of learners; each may import what they share, and none of the others."""

SHARED = ("asked", "backbone_form", "heads", "inner_loop", "learner", "settings", "short_forms")
"""Folders and files of `learners/` that families share."""

RESULTS = {"score": set(), "compare": {"score"}, "inspect": {"score"}, "show": {"score", "compare", "inspect"}}


@cache
def room_inside(module: str) -> str:
    """The folder that a module lies in; a file that lies beside folders is a room of its own."""
    folder = file_of(module).parent
    return module if any(part.is_dir() and any(part.glob("*.py")) for part in folder.iterdir()) else module.rpartition(".")[0]


def family_fault(importer: str, imported: str) -> str:
    """Why a module inside `learners/`, `results/` or `backbones/` may not import another one there; empty when it may."""
    match importer.split(".")[1:3], imported.split(".")[1:3]:
        case ["learners", mine], ["learners", other] if other in FAMILIES and mine != other:
            if mine in FAMILIES:
                return f"learners/{mine}/ and learners/{other}/ are two families; what they share lies in heads/ or inner_loop/"
            if mine in SHARED:
                return f"learners/{mine} serves all families and imports none of them"
        case ["learners", mine], ["learners", other] if mine in FAMILIES and other not in (mine, *SHARED):
            return f"learners/{other} is not for families, which import only {', '.join(SHARED)}"
        case ["results", mine], ["results", other] if mine != other and other not in RESULTS[mine]:
            return f"results/{mine}/ does not come after results/{other}/: score ← compare, inspect ← show"
        case ["backbones", "kernels"], ["backbones", other] if other != "kernels":
            return "backbones/kernels/ holds operators; it imports no network"
    return ""


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("kshot.learners.metric.ridge", "kshot.learners.heads.linear", True),
        ("kshot.learners.metric.ridge", "kshot.learners.metric.protonet", True),
        ("kshot.learners.metric.ridge", "kshot.learners.gradient.maml", False),
        ("kshot.learners.heads.linear", "kshot.learners.metric.ridge", False),
        ("kshot.learners.inner_loop.network", "kshot.learners.gradient.maml", False),
        ("kshot.learners.table", "kshot.learners.gradient.maml", True),
        ("kshot.learners.refinement.refined", "kshot.learners.ensemble", False),
        ("kshot.learners.gradient.maml", "kshot.learners.settings", True),
        ("kshot.learners.short_forms", "kshot.learners.gradient.maml", False),
        ("kshot.results.show.report", "kshot.results.inspect.shift", True),
        ("kshot.results.score.evaluate", "kshot.results.compare.cost", False),
        ("kshot.backbones.kernels.norm", "kshot.backbones.conv4", False),
    ],
)
def test_families_are_judged_as_the_page_says(importer: str, imported: str, allowed: bool) -> None:
    assert (family_fault(importer, imported) == "") is allowed


def test_every_folder_has_its_rule() -> None:
    def folders(stage: str) -> set[str]:
        return {file.relative_to(PACKAGE / stage).parts[0] for file in (PACKAGE / stage).glob("*/*.py")}

    assert folders("learners") <= {*FAMILIES, "contract", "heads", "inner_loop"}, "a new folder of learners: name it in FAMILIES"
    assert folders("results") <= set(RESULTS), "a new folder of results: say in RESULTS what it may import"


def test_families_keep_apart() -> None:
    faults = [
        f"{file.relative_to(ROOT)}:{line}: {fault}"
        for file in FILES
        for line, module, _ in imports_of(file)
        if (fault := family_fault(module_of(file), module))
    ]
    assert not faults, "\n".join(faults)


def test_only_the_public_surface_and_users_modules_are_imported_by_a_name_in_text() -> None:
    """Such an import is seen by none of these tests."""
    found = [
        str(file.relative_to(PACKAGE))
        for file in FILES
        if any(
            getattr(node, "id" if isinstance(node, ast.Name) else "attr", "") in DYNAMIC
            for node in ast.walk(tree_of(file))
            if isinstance(node, ast.Name | ast.Attribute)
        )
    ]
    assert sorted(found) == ["__init__.py", "workflows/own_learner.py"]  # the latter imports a user's module, never one of kshot's


def test_no_cycle_between_rooms() -> None:
    graph: dict[str, set[str]] = {}
    for file in FILES:
        if file.stem != "__init__":
            room = room_inside(module_of(file))
            reached = {room_inside(module) for _, module, _ in imports_of(file) if file_of(module).exists()}
            graph.setdefault(room, set()).update(reached - {room})
    assert cycle_in(graph) == []


def test_a_stage_s_init_says_what_it_is_and_nothing_else() -> None:
    folders = {file.parent for file in FILES if file.parent != PACKAGE}
    missing = [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()]
    assert not missing, f"folders without an __init__.py, which would be left out of the wheel: {missing}"
    for folder in sorted(folders):
        body = tree_of(folder / "__init__.py").body
        assert len(body) <= 1, f"{folder.relative_to(ROOT)}/__init__.py holds more than its docstring"


def test_every_module_says_what_it_holds() -> None:
    for file in FILES:
        docstring = ast.get_docstring(tree_of(file))
        assert docstring, f"{module_of(file)} has no docstring"
        lines = len(file.read_text(encoding="utf-8").splitlines())
        assert lines <= LONGEST_FILE or f"Over {LONGEST_FILE} lines" in docstring, (
            f"{module_of(file)} has {lines} lines; its docstring must say why: 'Over {LONGEST_FILE} lines because ...'"
        )


def test_names_say_what_a_file_holds() -> None:
    paths = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.suffix == ".py" or path.is_dir()]
    assert [str(path) for path in paths if path.stem in BANNED_NAMES] == []


def test_nothing_unpickles() -> None:
    found = [f"{file.relative_to(ROOT)}:{line}: {what}" for file in FILES for line, what in unpickling(tree_of(file))]
    assert not found, "\n".join(found)


def public_names() -> tuple[dict[str, str], dict[str, str]]:
    """Name -> module of the public surface, as `kshot/__init__.py` writes it: in its dictionary, and in its imports for type checkers."""
    tree = tree_of(PACKAGE / "__init__.py")
    written = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES"]
    hinted = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    assert (len(written), len(hinted)) == (1, 1)
    homes: dict[str, str] = ast.literal_eval(written[0].value)
    imported = [node for node in hinted[0].body if isinstance(node, ast.ImportFrom)]
    assert len(imported) == len(hinted[0].body)
    return homes, {alias.asname or "": str(node.module) for node in imported if node.module != "kshot" for alias in node.names}


def test_the_public_surface_is_every_learner_and_little_beside() -> None:
    homes, _ = public_names()
    beside = {name for name, home in homes.items() if not home.startswith(tuple(f"kshot.learners.{folder}" for folder in FAMILIES))}
    assert len(beside) <= MOST_NAMES_BESIDE_LEARNERS


def test_the_public_surface_is_sorted_and_there() -> None:
    import kshot
    from kshot.learners.table import LEARNERS

    homes, hinted = public_names()
    learners = {made.__name__: made.__module__ for made in LEARNERS.values()}
    assert not homes.keys() & learners.keys(), "learners of the table are public by themselves; take them out of _HOMES"
    public = {**homes, **learners}
    missing = [f"from {home} import {name} as {name}" for name, home in public.items() if name not in hinted]
    assert not missing, "unknown to type checkers; add to kshot/__init__.py, under TYPE_CHECKING:\n" + "\n".join(missing)
    assert hinted == public, "the imports for type checkers name what is not public, or another module"
    assert list(kshot.__all__) == sorted(public)
    for name, home in public.items():
        assert getattr(kshot, name).__module__ == home, f"{name} is defined elsewhere"


@pytest.mark.parametrize("module", ["kshot", "kshot.cli"])
def test_importing_loads_nothing_slow(module: str) -> None:
    assert (PACKAGE / "__init__.py").exists(), "kshot/__init__.py is not written yet"
    code = f"import sys, {module}; print(sorted({{'torch', 'matplotlib', 'numpy'}} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


HEAVY = {"torch", "matplotlib", "sklearn", "pandas", "onnxruntime", "transformers", "tokenizers"}
"""Packages that are slow to import; what needs one imports it in the function that uses it."""
TENSORS_OF_A_USER = {"kshot.data.torch_dataset"}
"""Reads data sets of PyTorch: the only module of `data/` that imports it at the top. The others import it in the functions that need it."""


def test_reading_what_a_user_has_does_not_load_torch(tmp_path: Path) -> None:
    """Tensors are made at the learner: a picture or a row is read and preprocessed without PyTorch."""
    reading = [module_of(file) for file in FILES if room_of(module_of(file)) == "data" and module_of(file) not in TENSORS_OF_A_USER]
    code = (
        f"import {', '.join(reading)}"
        + """
import sys
from pathlib import Path
from PIL import Image, ImageDraw
import kshot
from kshot.data.as_is import AsIs
from kshot.data.pictures.ink import Ink
from kshot.data.preprocess_table import preprocess_from

path = Path(sys.argv[1])
image = Image.new("RGB", (300, 200), "white")
ImageDraw.Draw(image).line([(60, 150), (150, 40), (240, 150)], fill="navy", width=7)
image.save(path)
shapes = [kshot.Picture().read(path).shape, kshot.Picture(size=4, channels=1).read(image).shape, Ink().read(path).shape]
shapes += [Ink(20, 0.5).read(str(path)).shape, AsIs().read([1.0, 2.0]).shape]
shapes += [preprocess_from({"name": "picture", "arguments": {"size": 8}}).read(path).shape]
print(shapes, sorted({"torch", "matplotlib"} & set(sys.modules)))
"""
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code, str(tmp_path / "note.png")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    expected = "[(3, 84, 84), (1, 4, 4), (1, 28, 28), (1, 20, 20), (2,), (3, 8, 8)] []"
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr


LEARNS_OR_EXPORTS: set[str] = set()
"""Modules of `encoders/` that import PyTorch at the top. Only functions that make something, such as an export, import them."""


def test_encoding_does_not_load_torch() -> None:
    """A fitted model answers without PyTorch, scikit-learn and pandas; all else of `encoders/` is imported for it."""
    answering = [module_of(file) for file in FILES if room_of(module_of(file)) == "encoders" and module_of(file) not in LEARNS_OR_EXPORTS]
    code = f"import sys, {', '.join(answering)}; print(sorted({HEAVY} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
