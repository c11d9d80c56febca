"""The Python interface with hostile arguments: shapes, plans, streams, data sets, adapt and predict, evaluate, save and load.

A case names one argument of one call and a value for it; all other arguments are good.

What is not promised is said in `table`.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cases.learners import WAY, made, tasks
from hostile.case import TEXTS, Call, Case, Cases
from hostile.settings import ARGUMENTS
from hostile.stock import Stock
from kshot.learners.table import LEARNERS

Make = Callable[[Mapping[str, Any]], object]

_LOOSE = ("ClassIndex.build classes", "ClassIndex.build groups", "ClassIndex.from_labels labels")
"""Arguments that are mappings and lists: Python itself says that another thing is none."""


def cases() -> Cases:
    """All cases of this family."""
    for name, (call, arguments) in _calls().items():
        for argument in arguments:
            for word, value in ARGUMENTS.items():
                loose = f"{name} {argument}" in _LOOSE
                yield Case(f"python/{name} {argument}/{word}", _called(call, {argument: value}), loose=loose)
    for name, arrays in _arrays().items():
        for call in ("ArrayDataset x", "ArrayDataset y", "ArrayTasks x", "ArrayTasks y", "ArrayTasks groups", "TorchDataset"):
            yield Case(f"python/{call}/{name}", _over(call, arrays), loose=True)
    for learner in LEARNERS:
        for place in ("support", "labels", "query"):
            for name in (*_TENSORS, *(_OF_LABELS if place == "labels" else ())):
                yield Case(
                    f"python/adapt {learner} {place}/{name}",
                    _adapted(learner, place, name),
                    answer=_not_finite if place == "query" else None,
                )
        for name, way in ARGUMENTS.items():
            yield Case(f"python/adapt {learner} way/{name}", _with_way(learner, way))
    for call in ("open_saved", "load", "Classifier", "save", "ImageFolder"):
        for name, text in TEXTS.items():
            if not (call == "save" and name in ("root", "dots", "dot")):
                yield Case(f"python/{call} path/{name}", _with_path(call, text))
        for name, value in ARGUMENTS.items():
            yield Case(f"python/{call} argument/{name}", _with_path(call, value), loose=True)
    for name, record in {
        "nan": {"a": math.nan}, "inf": {"a": [math.inf]}, "set": {"a": {1}}, "bytes": {"a": b"x"}, "object": {"a": object()},
        "number-key": {1: 2}, "none-key": {None: 1},
        "tuple-key": {(1, 2): 3}, "surrogate": {"a": "\udcff"}, "list": [1], "text": "record", "number": 7, "loop": _loop(),
        "deep": _deep(5000), "path": {"a": Path("x")},
    }.items():  # fmt: skip
        yield Case(f"python/save record/{name}", _saved({"record": record}))
    for name, value in {"nan": math.nan, "inf": math.inf, "1e39": 1e39, "minus-one": -1.0}.items():
        for dtype in ("none", "float16", "int8", "text"):
            yield Case(
                f"python/save parameters/{name} {dtype}", _saved_with(value, dtype), ending="refused" if not math.isfinite(value) else "any"
            )


def _loop() -> dict[str, Any]:
    table: dict[str, Any] = {}
    table["a"] = table
    return table


def _deep(levels: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for _ in range(levels):
        table = {"a": table}
    return table


def _data() -> Any:
    import numpy as np

    import kshot

    return kshot.ArrayDataset(np.random.default_rng(0).random((40, 8), np.float32), [number % 4 for number in range(40)])


def _plain(name: str) -> Any:
    from kshot.learners.table import LearnerSpec

    return LearnerSpec(name, "mlp", {}, {"inputs": 8, "hidden": [4], "outputs": 4}).build().eval()


def _episodes(**other: Any) -> Any:
    import kshot

    data = _data()
    given = {"dataset": data, "index": data.index, "split": "all", "shape": kshot.EpisodeShape(2, 1, 2), "episodes": 3, "seed": 0, **other}
    return kshot.EpisodeSet.draw(**given)


def _called(call: Make, arguments: Mapping[str, Any]) -> Callable[[Stock], Call]:
    return lambda stock: lambda: call(arguments)


def _calls() -> dict[str, tuple[Make, tuple[str, ...]]]:
    """Calls by name, each with the arguments to spoil: numbers, words and tables. An object of another class is an error of types."""

    def shape(given: Mapping[str, Any]) -> object:
        import kshot

        return _episodes(shape=kshot.EpisodeShape(**{"way": 2, "query": 2, **given}))

    def plan(given: Mapping[str, Any]) -> object:
        import kshot

        return kshot.Plan(**{"updates": 1, **given})

    def optimization(given: Mapping[str, Any]) -> object:
        from kshot.meta_train.optimization import Optimization

        return Optimization(**given)

    def training(given: Mapping[str, Any]) -> object:
        import kshot

        data, learner = _data(), _plain("protonet").train()
        parts = {"dataset": data, "index": data.index, "split": "all", "shape": kshot.EpisodeShape(2, 1, 2), "seed": 0, **given}
        plan, stream = kshot.Plan(updates=1), kshot.EpisodeStream(**parts)
        return list(kshot.train(kshot.start(learner, plan, stream), stream, plan))

    def items(given: Mapping[str, Any]) -> object:
        import kshot

        data, learner = _data(), _plain("baseline").train()
        parts = {"dataset": data, "index": data.index, "split": "all", "seed": 0, "batch": 8, **given}
        plan, stream = kshot.Plan(updates=1), kshot.ItemStream(**parts)
        return list(kshot.train(kshot.start(learner, plan, stream), stream, plan))

    def evaluation(given: Mapping[str, Any]) -> object:
        import kshot

        return kshot.evaluate(**{"learner": _plain("protonet"), "episodes": _episodes(), **given})

    def comparison(given: Mapping[str, Any]) -> object:
        import kshot

        return kshot.compare(**{"learners": {"a": _plain("protonet"), "b": _plain("protonet")}, "episodes": _episodes(), **given})

    def drawing(given: Mapping[str, Any]) -> object:
        return _episodes(**given)

    def picture(given: Mapping[str, Any]) -> object:
        import kshot

        return kshot.Picture(**{"size": 16, **given})

    def omniglot(given: Mapping[str, Any]) -> object:
        from kshot.data.pictures.ink import Ink

        return Ink(**given)

    def sinusoids(given: Mapping[str, Any]) -> object:
        from kshot.data.sinusoids import Sinusoids

        return Sinusoids(**{"train": 2, "val": 2, "test": 2, **given})

    def index(given: Mapping[str, Any]) -> object:
        import kshot

        return kshot.ClassIndex.build(**{"classes": {"a": [0, 1], "b": [2, 3]}, **given})

    def labels(given: Mapping[str, Any]) -> object:
        import kshot

        return kshot.ClassIndex.from_labels(**given)

    def verification(given: Mapping[str, Any]) -> object:
        import kshot

        return kshot.verify(**{"learner": _plain("protonet"), "episodes": _episodes(), **given})

    return {
        "EpisodeShape": (shape, ("way", "shot", "query", "balanced", "within_groups", "replacement", "augment", "same_positions",
        "nearness")),
        "Plan": (plan, ("updates", "validate_every", "patience", "seed")),
        "Optimization": (optimization, ("optimizer", "lr", "weight_decay", "momentum", "schedule", "halve_every", "warmup", "clip_norm",
        "precision")),
        "EpisodeStream": (training, ("split", "seed", "tasks", "rank", "ranks", "device")),
        "ItemStream": (items, ("split", "seed", "batch", "augment", "rank", "ranks", "device")),
        "evaluate": (evaluation, ("mode", "device")), "compare": (comparison, ("mode", "device")),
        "EpisodeSet.draw": (drawing, ("split", "episodes", "seed")), "Picture": (picture, ("size", "channels", "fit", "levels")),
        "Ink": (omniglot, ("size", "zoom")), "Sinusoids": (sinusoids, ("train", "val", "test", "seed")), "ClassIndex.build": (index,
        ("classes", "groups")),
        "ClassIndex.from_labels": (labels, ("labels",)), "verify": (verification, ("device",)),
    }  # fmt: skip


def _arrays() -> dict[str, Any]:
    """Arrays and things in the place of arrays, of eight items where they have items."""
    import numpy as np

    good = np.random.default_rng(0).random((8, 3), np.float32)
    nan, inf = good.copy(), good.copy()
    nan[3, 1], inf[7, 2] = np.nan, np.inf
    arrays = {
        f"dtype {kind}": good.astype(kind)
        for kind in ("f2", "f4", "f8", ">f4", "i1", "u2", "u4", "u8", "i8", ">i8", "?", "c8", "c16", "O", "S3", "U3", "g")
    }
    return arrays | {
        "nan": nan, "inf": inf, "negative-strides": good[::-1], "columns": good[:, ::-1], "fortran": np.asfortranarray(good),
        "read-only": _read_only(good), "empty": good[:0], "no-columns": good[:, :0],
        "scalar": np.float32(3), "0-d": np.array(3.0), "1-d": good[:, 0], "7-d": good.reshape(8, 1, 1, 1, 1, 1, 3), "short": good[:7],
        "long": np.concatenate([good, good]), "broadcast": np.broadcast_to(good[:1], (8, 3)),
        "masked": np.ma.masked_array(good, good > 0.5), "matrix": np.recarray((8,), dtype=[("a", "f4")]), "dates": np.arange("2020-01",
        "2020-09", dtype="M8[M]"), "none": None, "number": 7, "text": "abcdefgh",
        "list": good.tolist(), "ragged": [[1], [1, 2]] * 4, "generator": (row for row in good), "table": {"a": good}, "empty-table": {},
        "table-short": {"a": good, "b": good[:3]}, "nested-table": {"a": {"b": good}},
        "number-key": {1: good}, "labels-nan": [float("nan")] * 8, "labels-none": [None] * 8, "labels-mixed": [1, "1", 2, "2"] * 2,
        "labels-half": [0.5] * 8, "labels-list": [[1]] * 8, "labels-huge": [10**400] * 8,
        "labels-text": ["a", "b"] * 4, "labels-empty": [""] * 8, "labels-control": ["\x1b[31m", "\n"] * 4, "labels-surrogate": ["\udcff",
        "a"] * 4, "labels-true": [True, False] * 4, "labels-bytes": [b"a", b"b"] * 4, "set": set(range(8)),
    }  # fmt: skip


def _read_only(array: Any) -> Any:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _over(call: str, value: Any) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        import numpy as np

        import kshot

        x, y, groups = np.ones((8, 3), np.float32), np.arange(8.0), [0, 1] * 4
        if call == "TorchDataset":
            pairs = (
                [(row, number % 2) for number, row in enumerate(value)]
                if isinstance(value, (list, np.ndarray)) and np.ndim(value)
                else value
            )
            return lambda: kshot.TorchDataset(pairs)
        if call.startswith("ArrayDataset"):
            return lambda: kshot.ArrayDataset(value, groups) if call.endswith("x") else kshot.ArrayDataset(x, value)
        given = {"x": x, "y": y, "groups": groups, call.split()[1]: value}
        return lambda: kshot.ArrayTasks(given["x"], given["y"], given["groups"])

    return prepare


_TENSORS = (
    "nan", "inf", "one-nan", "float64", "float16", "bfloat16", "complex", "no-items", "no-tasks", "no-features", "flat",
    "deep", "minus-one", "beyond", "huge", "half",
    "requires-grad", "transposed", "meta", "sparse", "list", "array", "none", "text", "two-tasks", "short",
)  # fmt: skip
_OF_LABELS = ("int32", "bool")


def _spoilt(value: Any, name: str) -> Any:
    """A tensor (1, M, …) or labels (1, M), spoilt in the way that the name says."""
    import torch

    numbers = value.to(torch.float32)
    return {
        "nan": lambda: numbers * float("nan"), "inf": lambda: numbers + float("inf"),
        "one-nan": lambda: numbers.flatten().index_fill(0, torch.tensor([0]), float("nan")).view_as(numbers),
        "int32": lambda: value.to(torch.int32), "float64": lambda: value.double(), "float16": lambda: value.half(),
        "bfloat16": lambda: value.bfloat16(), "bool": lambda: value.bool(), "complex": lambda: value.to(torch.complex64),
        "no-items": lambda: value[:, :0], "no-tasks": lambda: value[:0], "no-features": lambda: value[..., :0],
        "flat": lambda: value[0], "deep": lambda: value.unsqueeze(0),
        "minus-one": lambda: torch.full_like(value, -1), "beyond": lambda: torch.full_like(value, 99),
        "huge": lambda: torch.full_like(value, 2**40), "half": lambda: numbers + 0.5, "requires-grad": lambda: numbers.requires_grad_(),
        "transposed": lambda: value.transpose(0, 1), "meta": lambda: value.to("meta"), "sparse": lambda: value.to_sparse(),
        "list": lambda: value.tolist(), "array": lambda: value.numpy(), "none": lambda: None, "text": lambda: "x",
        "two-tasks": lambda: torch.cat([value, value]), "short": lambda: value[:, :1],
    }[name]()  # fmt: skip


def _adapted(learner: str, place: str, name: str) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        import torch

        from kshot.data.inputs import map_inputs
        from kshot.learners.learner import encode_tasks

        asked, plain = made(learner).eval(), tasks()
        support, query = encode_tasks(asked, plain.support_x, plain.query_x)
        task: dict[str, Any] = {"support": support, "labels": plain.support_y, "query": query}
        task[place] = map_inputs(lambda value: _spoilt(value.detach(), name), task[place])
        ask = asked.predict if "inductive" in asked.modes else asked.predict_together

        def call() -> Any:
            with torch.no_grad():
                answer = ask(asked.adapt(task["support"], task["labels"], way=WAY), task["query"])
            return answer if name not in ("nan", "inf", "one-nan") else None

        return call

    return prepare


def _not_finite(answer: Any) -> str:
    return "" if answer is None or bool(answer.isfinite().all()) else "an answer that is not finite"


def _with_way(learner: str, way: Any) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        from kshot.learners.learner import encode_tasks

        asked, plain = made(learner).eval(), tasks()
        support, _ = encode_tasks(asked, plain.support_x, plain.query_x)
        return lambda: asked.adapt(support, plain.support_y, way=way)

    return prepare


def _with_path(call: str, value: Any) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        import kshot

        if call == "save":
            return lambda: kshot.save(value, _plain("protonet"))
        if call == "Classifier":
            return lambda: kshot.Classifier(stock.finished, value)
        if call == "ImageFolder":
            return lambda: kshot.ImageFolder(value, kshot.Picture(16))
        return lambda: getattr(kshot, call)(value)

    return prepare


def _saved(arguments: Mapping[str, Any]) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        import kshot

        def call() -> object:
            kshot.save("mine", _plain("protonet"), **arguments)
            return kshot.open_saved("mine")

        return call

    return prepare


def _saved_with(value: float, dtype: str) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        import torch

        import kshot

        learner = _plain("protonet")
        weights = next(iter(learner.parameters())).data
        weights.copy_(torch.full(weights.shape, value, dtype=torch.float64))
        chosen: Any = {"none": None, "text": "float16"}.get(dtype, getattr(torch, dtype, None))
        return lambda: kshot.save("mine", learner, dtype=chosen)

    return prepare
