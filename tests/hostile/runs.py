"""Run folders on `--resume`: the state, its header, its tensors, the other files, and what lies in the folder beside them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile.case import Case, Cases, Words
from hostile.damage import Damage, changed, damages, hostile_values, places_in, write_json
from hostile.saved import reheaded
from hostile.stock import Stock

_STATE = Path("run/state.safetensors")

# The form of a state's header, and of the recipe and the division of a run, written out as in `saved`.
_HEADER: dict[str, Any] = {
    "format": 1, "recipe": {"seed": 0, "data": {"name": ""}}, "environment": {"machine": "", "processor": "", "torch": "", "threads": 1},
    "update": 1, "best_score": None, "best_update": 0, "waited": 0, "stopped": False, "history": [], "loss_sum": 1.6, "optimizer": {},
}  # fmt: skip
_RECIPE: dict[str, Any] = {
    "description": "", "seed": 0, "data": {"name": "", "split": "", "fractions": [0.5, 0.2], "size": 16}, "learner": {"name": ""},
    "episodes": {"way": 0},
    "training": {"updates": 2, "lr": 0.001, "optimizer": ""},
}  # fmt: skip
_DIVISION: dict[str, Any] = {"train": ["", ""], "val": ["", ""], "test": ["", ""]}


def cases() -> Cases:
    """All cases of this family."""
    for place in places_in(_HEADER):
        for name, value in hostile_values().items():
            yield Case(f"run/header/{'.'.join(map(str, place))}={name}", _header(place, value), mentions=("run",))
    for name, history in {
        "1e400": '[{"update": 1, "mean": 1e400}]', "nan": '[{"update": 1, "mean": NaN, "interval": 0, "loss": 0}]',
        "far": '[{"update": 10, "mean": 1}]',
        "empty-row": "[{}]", "text": '[{"update": "1"}]', "long": "[" + '{"update": 1},' * 5000 + '{"update": 1}]',
    }.items():  # fmt: skip
        yield Case(f"run/history/{name}", _header(("history",), json.loads(history)))
    for file, form in (("recipe.json", _RECIPE), ("division.json", _DIVISION)):
        for place in places_in(form):
            for name, value in hostile_values().items():
                yield Case(f"run/{file}/{'.'.join(map(str, place))}={name}", _json(file, place, value), mentions=("run", file, "split"))
    for file in ("state.safetensors", "recipe.json", "division.json", "metrics.jsonl"):
        for name, damage in damages(rounds=10).items():
            yield Case(f"run/file {file}/{name}", _damaged(file, damage), mentions=("run", file, "split"))
    for name, change in _tensors().items():
        yield Case(f"run/tensors/{name}", _with_tensors(change))
    for name, made in {
        "learner-file": lambda: Path("run/learner").touch(), "learner-folder": lambda: Path("run/learner").mkdir(),
        "learner-link": lambda: Path("run/learner").symlink_to("/nowhere"), "strange": lambda: Path("run/[red]\n").touch(),
        "part": lambda: Path("run/.state.safetensors.x.part").mkdir(), "metrics-link": lambda: _linked("metrics.jsonl", "/dev/full"),
    }.items():  # fmt: skip
        yield Case(f"run/beside/{name}", _beside(made))
    for name, line in {
        "1e400": '{"update": 1, "loss": 1e400}', "nan": '{"update": 1, "loss": NaN}', "no-update": "{}", "text": '"x"',
        "half": '{"update": 1, "lo',
        "later": '{"update": 99}', "huge": '{"update": ' + "9" * 400 + "}", "control": '{"update": 1, "\\u001b": 2}',
        "surrogate": '{"update": "\\ud800"}',
    }.items():  # fmt: skip
        yield Case(f"run/metrics/{name}", _metrics(line))
    for name, words in {
        "not-resumed": [],
        "other-seed": ["--resume", "--seed", "5"],
        "other-lr": ["--resume", "--set", "training.lr=0.5"],
    }.items():
        yield Case(f"run/asked/{name}", _asked(words), ending="refused")


def _header(place: tuple[str | int, ...], value: Any) -> Callable[[Stock], Words]:
    def change(header: dict[str, Any]) -> None:
        inner = json.loads(header["__metadata__"]["kshot"])
        inner.pop("checksum", None)  # as an earlier version wrote it, so that the reader goes on to the contents
        header["__metadata__"]["kshot"] = json.dumps(changed(inner, place, value))

    def prepare(stock: Stock) -> Words:
        run = stock.run(Path("run"))
        _STATE.write_bytes(reheaded(_STATE.read_bytes(), change))
        return stock.resume(run)

    return prepare


def _json(file: str, place: tuple[str | int, ...], value: Any) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        run = stock.run(Path("run"))
        write_json(run / file, changed(json.loads((run / file).read_text(encoding="utf-8")), place, value))
        return stock.resume(run)

    return prepare


def _damaged(file: str, damage: Damage) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        run = stock.run(Path("run"))
        damage(run / file)
        return stock.resume(run)

    return prepare


def _tensors() -> dict[str, Callable[[dict[str, Any]], object]]:
    import torch

    def every(kind: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], object]:
        return lambda tensors: tensors.update({name: change(value) for name, value in tensors.items() if name.startswith(kind)})

    changes: dict[str, Callable[[dict[str, Any]], object]] = {}
    for kind in ("learner/", "optimizer/"):
        for name, change in {
            "nan": lambda value: value.to(torch.float32) * float("nan"), "inf": lambda value: value.to(torch.float32) + float("inf"),
            "minus": lambda value: -1 - value.to(torch.float32), "flat": lambda value: value.reshape(-1)[:1].clone(),
            "int8": lambda value: value.to(torch.int8),
            "double": lambda value: value.to(torch.float64), "complex": lambda value: value.to(torch.complex64),
            "empty": lambda value: value.reshape(-1)[:0],
            "wider": lambda value: torch.stack([value, value]),
        }.items():  # fmt: skip
            changes[f"{kind}{name}"] = every(kind, change)
        changes[f"{kind}gone"] = lambda tensors, kind=kind: [tensors.pop(name) for name in list(tensors) if name.startswith(kind)]  # type: ignore[misc]
        changes[f"{kind}one-gone"] = lambda tensors, kind=kind: tensors.pop(next(name for name in tensors if name.startswith(kind)))  # type: ignore[misc]
        changes[f"{kind}one-more"] = lambda tensors, kind=kind: tensors.update({f"{kind}99/more": torch.zeros(1)})  # type: ignore[misc]
    for name in (
        "best/x",
        "optimizer/x",
        "optimizer/0",
        "optimizer/-1/step",
        "optimizer/0/\x1b[31m",
        "strange",
        "",
        "optimizer/999999999999/step",
    ):
        changes[f"add {name!a}"] = lambda tensors, name=name: tensors.update({name: torch.zeros(1)})  # type: ignore[misc]
    changes["best of another shape"] = lambda tensors: tensors.update(
        {f"best/{name.removeprefix('learner/')}": torch.zeros(7) for name in list(tensors) if name.startswith("learner/")}
    )
    return changes


def _with_tensors(change: Callable[[dict[str, Any]], object]) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        import safetensors.torch

        run = stock.run(Path("run"))
        data = _STATE.read_bytes()
        tensors = safetensors.torch.load(data)
        kept: dict[str, Any] = {}
        reheaded(data, lambda header: kept.update(header["__metadata__"]))
        header = json.loads(kept["kshot"])
        header.pop("checksum", None)
        change(tensors)
        _STATE.write_bytes(safetensors.torch.save(tensors, {"kshot": json.dumps(header)}))
        return stock.resume(run)

    return prepare


def _linked(name: str, target: str) -> None:
    file = Path("run") / name
    file.unlink()
    file.symlink_to(target)


def _beside(made: Callable[[], object]) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        run = stock.run(Path("run"))
        made()
        return stock.resume(run)

    return prepare


def _metrics(line: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        run = stock.run(Path("run"))
        (run / "metrics.jsonl").write_text(line + "\n", encoding="utf-8")
        return stock.resume(run)

    return prepare


def _asked(words: list[str]) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        run = stock.run(Path("run"))
        return [*stock.resume(run)[:-1], *words]

    return prepare
