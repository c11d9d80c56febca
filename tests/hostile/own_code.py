"""What users write themselves: networks that return strange things, modules named on the command line, and learned optimisers' files.

A network is tried in training, in evaluation and in `adapt` of several learners; a module as `kshot evaluate module:name`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hostile.case import Call, Case, Cases, Words
from hostile.damage import changed, damages, hostile_values, places_in
from hostile.saved import reheaded
from hostile.stock import FEW, Stock

_LEARNERS = ("protonet", "ridge", "matching", "simple_shot", "baseline", "nearest", "relation", "mann", "maml", "finetune", "reptile")

_MODULES: Mapping[str, str] = {
    "empty": "", "not-python": "this is no Python\n", "nul": "learner = '\\0'\n\0", "raises": "raise RuntimeError('\\x1b[31mno')\n",
    "no-name": "other = 1\n",
    "none": "learner = None\n", "number": "learner = 7\n", "function-raises": "def learner():\n    raise ValueError('no')\n",
    "function-asks": "def learner(one):\n    return one\n", "function-none": "def learner():\n    return None\n",
    "function-itself": "def learner():\n    return learner\n", "class": "class learner:\n    pass\n",
    "module": "import torch\nlearner = torch.nn.Linear(2, 2)\n", "recursion": "def learner():\n    return learner()\n",
    "abstract": "from kshot import Learner as learner\n", "missing": "import nowhere\n", "itself": "import mine\nlearner = mine.learner\n",
    "latin-1": "# caf\xe9\n", "large": "learner = " + "[" * 300 + "]" * 300 + "\n",
    "text": "learner = 'omniglot-protonet'\n", "exits": "raise SystemExit(3)\n", "function-exits": "learner = exit\n",
}  # fmt: skip

# The form of the description in the file of a learned optimiser, written out: cases have their names before anything is trained.
_HEADER: dict[str, Any] = {
    "format": 1, "arguments": {"rule": "", "hidden": 4, "layers": 2, "horizon": 6},
    "record": {
        "recipe": {"optimizer": {"functions": {"quadratics": 2}, "estimator": "", "truncation": 2, "hidden": 4}}, "seed": 0, "command": "",
        "updates": 2, "best_update": 2, "validation": [{"update": 2, "mean": 0.1, "interval": 0.1, "loss": 0.1}],
    },
}  # fmt: skip


def cases() -> Cases:
    """All cases of this family."""
    for learner in _LEARNERS:
        for name in _NETWORKS:
            for way in ("train", "evaluate", "adapt"):
                yield Case(f"network/{learner} {way}/{name}", _with_network(learner, name, way))
    for name, text in _MODULES.items():
        yield Case(f"module/text/{name}", _with_module(text), ending="refused", mentions=("mine",))
    for name in (
        "mine:",
        ":learner",
        "mine:learner:x",
        "mine.x:learner",
        "../mine:learner",
        "os:system",
        "kshot:Learner",
        "a b:c",
        "mine:__name__",
    ):
        yield Case(f"module/name/{name}", _with_module("learner = 1\n", name), ending="refused")
    for place in places_in(_HEADER):
        for number, (name, value) in enumerate(hostile_values().items()):
            question = ("show", "load", "show", "load", "show", "evaluate")[number % 6]
            path = ".".join(map(str, place))
            yield Case(
                f"optimizer/{place[0]} {question}/{path}={name}", _optimizer(place, value, question), mentions=("optimi", "objective")
            )
    for name, damage in damages(rounds=6).items():
        yield Case(f"optimizer/file/{name}", _damaged_optimizer(damage), mentions=("optimi",))


def _networks() -> dict[str, Callable[[Any], Any]]:
    """What a network may give back for items (M, 4), by name."""
    import numpy as np
    import torch

    return {
        "none": lambda x: None, "number": lambda x: 3.0, "text": lambda x: "x", "dictionary": lambda x: {"pooler_output": x},
        "empty-dictionary": lambda x: {}, "tuple": lambda x: (x, x),
        "list": lambda x: list(x), "array": lambda x: x.detach().numpy(), "scalar": lambda x: x.sum(),
        "flat": lambda x: x.flatten(), "one-row": lambda x: x[:1], "one-more": lambda x: torch.cat([x, x[:1]]),
        "no-features": lambda x: x[:, :0], "tokens": lambda x: x[:, None].expand(-1, 7, -1),
        "maps": lambda x: x[:, :, None, None].expand(-1, -1, 3, 3),
        "columns": lambda x: x.T, "nan": lambda x: x * float("nan"), "inf": lambda x: x + float("inf"), "one-nan": _one_nan,
        "double": lambda x: x.double(), "half": lambda x: x.half(), "whole": lambda x: x.long(), "bool": lambda x: x > 0,
        "complex": lambda x: x.to(torch.complex64), "sparse": lambda x: x.to_sparse(), "meta": lambda x: x.to("meta"),
        "detached": lambda x: x.detach(), "constant": lambda x: torch.zeros_like(x), "large": lambda x: x * 1e30,
        "numpy": lambda x: np.zeros(3), "raises": _raising, "by-batch": lambda x: x.expand(-1, 4) + len(x),
        "random": lambda x: x + torch.rand_like(x), "in-place": lambda x: x.mul_(2), "wide": lambda x: x.repeat(1, 40),
    }  # fmt: skip


_NETWORKS = (
    "none", "number", "text", "dictionary", "empty-dictionary", "tuple", "list", "array", "scalar", "flat", "one-row", "one-more",
    "no-features", "tokens", "maps", "columns", "nan", "inf", "one-nan", "double", "half", "whole", "bool", "complex", "sparse", "meta",
    "detached", "constant", "large", "numpy", "raises", "by-batch", "random", "in-place", "wide",
)  # fmt: skip


def _one_nan(x: Any) -> Any:
    spoilt = x.clone()
    spoilt[0, 0] = float("nan")
    return spoilt


def _raising(x: Any) -> Any:
    from kshot.errors import DataError

    raise DataError("this network reads nothing at all")


def _with_network(name: str, kind: str, way: str) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        import numpy as np
        import torch
        from torch import nn

        import kshot
        from cases.learners import ARGUMENTS
        from kshot.arguments import names_of_arguments
        from kshot.data.inputs import map_inputs
        from kshot.learners.table import LEARNERS

        class Strange(nn.Module):
            """Gives its items through a layer, then spoilt."""

            def __init__(self) -> None:
                super().__init__()
                self.layer, self.spoil = nn.Linear(4, 4), _networks()[kind]

            def forward(self, x: torch.Tensor) -> Any:
                return self.spoil(self.layer(x))

        sizes = {key: value for key, value in {"features": 4, "outputs": 4}.items() if key in names_of_arguments(LEARNERS[name])}
        learner = LEARNERS[name](Strange(), **sizes, **ARGUMENTS.get(name, {}))
        rows = np.random.default_rng(0).random((40, 4), np.float32)
        data = kshot.ArrayDataset(rows, [number % 4 for number in range(40)])
        shape = kshot.EpisodeShape(2, 1, 2)

        def train() -> object:
            plan = kshot.Plan(updates=2, validate_every=10)
            source: Any = (
                kshot.ItemStream(data, data.index, "all", 0, batch=8)
                if learner.training_source == "items"
                else kshot.EpisodeStream(data, data.index, "all", shape, 0)
            )
            return list(kshot.train(kshot.start(learner.train(), plan, source), source, plan))

        def evaluate() -> object:
            return kshot.evaluate(learner.eval(), kshot.EpisodeSet.draw(data, data.index, "all", shape, episodes=3))

        def adapt() -> object:
            x = torch.from_numpy(rows[:4])
            features = learner.eval().encode(x)
            return learner.adapt(map_inputs(lambda value: value[None], features), torch.tensor([[0, 0, 1, 1]]), way=2)

        return {"train": train, "evaluate": evaluate, "adapt": adapt}[way]

    return prepare


def _with_module(text: str, name: str = "mine:learner") -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        import sys

        sys.modules.pop("mine", None)
        Path("mine.py").write_text(text, encoding="latin-1")
        return ["evaluate", name, "--data", stock.pets, *FEW, "--json"]

    return prepare


def _optimizer(place: tuple[str | int, ...], value: Any, question: str) -> Callable[[Stock], Any]:
    def change(header: dict[str, Any]) -> None:
        inner = json.loads(header["__metadata__"]["kshot"])
        header["__metadata__"]["kshot"] = json.dumps(changed(inner, place, value))

    def prepare(stock: Stock) -> Any:
        file = stock.optimizer(Path("optimizer")) / "optimizer.safetensors"
        file.write_bytes(reheaded(file.read_bytes(), change))
        _sign(file)
        return _opened(question)

    return prepare


def _sign(file: Path) -> None:
    """Write the checksum of the changed description, so that the reader goes on to its contents."""
    import safetensors.torch

    from kshot.saved.optimizer_file import _checksum

    data = file.read_bytes()
    tensors = safetensors.torch.load(data)

    def change(header: dict[str, Any]) -> None:
        inner = json.loads(header["__metadata__"]["kshot"])
        inner["checksum"] = _checksum(inner, tensors)
        header["__metadata__"]["kshot"] = json.dumps(inner)

    file.write_bytes(reheaded(data, change))


def _opened(question: str) -> Any:
    if question == "load":
        import kshot

        return lambda: kshot.load("optimizer")
    more = ["--steps", "20"] if question == "evaluate" else []
    return [question, "optimizer", *more, "--json"]


def _damaged_optimizer(damage: Callable[[Path], object]) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        damage(stock.optimizer(Path("optimizer")) / "optimizer.safetensors")
        return ["show", "optimizer", "--json"]

    return prepare
