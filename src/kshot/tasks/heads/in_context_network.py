"""The network of `tables-in-context` in numpy: it reads a labelled table, and answers queries from what it has read.

    read(network, x, y, N)  → arrays: keys and values of the table's rows, and the maps that a query goes through
    ask(arrays, z)          → logits (M, N) of queries, each of which reads the keys and values

The equations are those of `kshot.learners.memory.in_context` in evaluation, whose weights these are; the tests compare the two. The
`arrays` are all that an answer needs, so a model keeps its answers when another network ships. An affine map is one array, with its
intercepts in the last row. Next: `kshot.tasks.heads.in_context`, `kshot.tasks.heads.answer`.

n examples, D features, N classes; P = 4 members, L = 4 layers, W = 96 channels, H = 4 attention heads.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from kshot.errors import SavedError
from kshot.regular_file import names_in
from kshot.tensor_file import read_arrays, read_header

FEATURES, SLOTS = 32, 10
"""The most features and classes."""
_P, _L, _W, _H, _SUMMARY = 4, 4, 96, 4, 32
_LEAST = 1e-6
_FOLDER = Path(__file__).parents[2] / "saved" / "shipped" / "tables-in-context"
Arrays = Mapping[str, np.ndarray]


@cache
def network() -> Arrays:
    """Return the weights of the shipped network, float32, by the learner's names.

    Raises:
        SavedError: The file is missing or damaged.
    """
    try:
        (file,) = (_FOLDER / name for name in names_in(_FOLDER, SavedError) if name.endswith(".safetensors"))
        found, _ = read_arrays(file, read_header(file))
    except (OSError, ValueError) as error:
        raise SavedError(f"the network of the head in_context cannot be read: {error}. Install kshot again.") from error
    return {name: array.astype(np.float32) for name, array in found.items()}


def forms(examples: int, features: int, way: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of the arrays of `read`, by name, without the centre."""
    D, N = features, way
    shapes = {
        "scale": (D,),
        "share": (D,),
        "columns": (_P, D, _W),
        "offsets": (_P, D, _SUMMARY),
        "bend": (_SUMMARY,),
        "mix": (_SUMMARY, _W),
        "start": (_W,),
        "norms": (_L, 2, 2, _W),
        "query": (_L, _W + 1, _W),
        "out": (_L, _W + 1, _W),
        "up": (_L, _W + 1, 2 * _W),
        "down": (_L, 2 * _W + 1, _W),
        "known": (_L, _P, examples, 2 * _W),
        "last": (2, _W),
        "ask": (_W + 1, _W),
        "offered": (_P, examples, _W),
        "output": (_P, _W + 1, N),
        "bias": (N,),
    }
    return {name: ("float32", shape) for name, shape in shapes.items()} | {"labels": ("int64", (examples,))}


def numbers_per_query(arrays: Arrays) -> int:
    """Return how many numbers the largest array holds for one query."""
    return _P * max(_H * len(arrays["labels"]), _SUMMARY * len(arrays["scale"]), 2 * _W)


def read(weights: Arrays, x: np.ndarray, y: np.ndarray, way: int) -> dict[str, np.ndarray]:
    """Read a labelled table.

    Args:
        weights: From `network`.
        x: Examples (n, D), D at most `FEATURES`.
        y: Labels, int64 (n,).
        way: N, at most `SLOTS`.

    Returns:
        Arrays by name, as `forms` says, and `centre` float32 (D,).
    """
    n, D = x.shape
    slots, places = (order[:, :count] for order, count in zip(_orders(), (way, D), strict=True))
    of_item = slots[:, y]  # (P, n)
    wide = x.astype(np.float64)
    centre = wide.mean(0).astype(np.float32)
    spread = np.sqrt(np.square(wide - wide.mean(0)).mean(0))
    varies = spread > 1e-6 * np.abs(wide).max(0)  # rounding alone makes no spread
    scale = np.where(varies, 1 / np.where(varies, spread, 1), 0).astype(np.float32)
    F = max(int(varies.sum()), 1)
    z = _scaled(x - centre, scale)

    classes = weights["reader.class_vectors"][of_item][:, :, None]  # (P, n, 1, 32)
    seen = _gelu(z[None, :, :, None] * weights["reader.slope"] + classes).mean(1)  # (P, D, 32)
    size = np.broadcast_to(np.array([math.log(n) / 3, math.log(F) / 3], np.float32), (*seen.shape[:2], 2))
    description = _gelu(_affine(np.concatenate([seen, size], -1), _map_of(weights, "reader.describe")))
    share = (varies / math.sqrt(F)).astype(np.float32)
    gate = 1 + _affine(description, _map_of(weights, "reader.gate"))
    context = _affine(np.array([math.log(n) / 3, math.log(way)], np.float32), _map_of(weights, "context"))
    layers = [f"layers.{number}" for number in range(_L)]
    found = {
        "centre": centre,
        "scale": scale,
        "share": share,
        "columns": weights["reader.places"][places] * gate * share[:, None],
        "offsets": _affine(description, _map_of(weights, "reader.offset")),
        "bend": weights["reader.bend"],
        "mix": weights["reader.out.weight"].T,
        "start": weights["labels"][-1] + context,
        "norms": np.stack([[_norm_of(weights, f"{one}.before_{part}") for part in ("attention", "network")] for one in layers]),
        "last": _norm_of(weights, "last"),
        "ask": _map_of(weights, "ask"),
        "output": np.swapaxes(_map_of(weights, "output").T[slots], 1, 2),
        "bias": np.zeros(way, np.float32),
        "labels": y,
    }
    for name, part in (("query", "query"), ("out", "out"), ("up", "network.0"), ("down", "network.2")):
        found[name] = np.stack([_map_of(weights, f"{one}.{part}") for one in layers])
    tokens = _tokens(z, found) + weights["labels"][of_item] + context
    known = []
    for number, one in enumerate(layers):
        known.append(_affine(_normalised(tokens, found["norms"][number, 0]), _map_of(weights, f"{one}.key_value")))
        tokens = _extend(tokens, known[-1], found, number)
    found["known"] = np.stack(known)
    found["offered"] = _affine(_normalised(tokens, found["last"]), _map_of(weights, "offer"))
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def ask(z: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Answer queries from what was read: z = x - centre, float32 (M, D) → logits (M, N), logarithms of probabilities plus the bias."""
    x = _tokens(_scaled(z, arrays["scale"]), arrays) + arrays["start"]  # (P, M, W)
    for number, known in enumerate(arrays["known"]):
        x = _extend(x, known, arrays, number)
    x = _normalised(x, arrays["last"])
    resemblance = _softmax(_affine(x, arrays["ask"]) @ np.swapaxes(arrays["offered"], 1, 2) / math.sqrt(_W))  # (P, M, n)
    of_class = (arrays["labels"][:, None] == np.arange(len(arrays["bias"]))).astype(np.float32)
    values = np.log(resemblance @ of_class + np.float32(_LEAST))
    values += x @ arrays["output"][:, :-1] + arrays["output"][:, -1:]
    values -= values.max(-1, keepdims=True)
    values -= np.log(np.exp(values).sum(-1, keepdims=True))
    result: np.ndarray = values.mean(0) + arrays["bias"]
    return result


def _orders() -> tuple[np.ndarray, np.ndarray]:
    """Return each member's orders of slots (P, 10) and columns (P, 32): those of the learner, whose generator is this one."""
    random = np.random.RandomState(0)
    slots, places = (random.randint(0, 2**32, (_P, count), dtype=np.uint32) % 2**24 for count in (SLOTS, FEATURES))
    return slots.argsort(-1), places.argsort(-1)


def _scaled(z: np.ndarray, scale: np.ndarray) -> np.ndarray:
    result: np.ndarray = 3 * np.arcsinh(z * scale / 3)
    return result


def _tokens(z: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Read standardised rows (M, D) as tokens (P, M, W)."""
    bent = _gelu((z[:, :, None] * arrays["bend"])[None] + arrays["offsets"][:, None])  # (P, M, D, 32)
    result: np.ndarray = z @ arrays["columns"] + np.einsum("pmds,d->pms", bent, arrays["share"]) @ arrays["mix"]
    return result


def _extend(x: np.ndarray, known: np.ndarray, arrays: Arrays, number: int) -> np.ndarray:
    """Take items (P, M, W) through a layer, in which they read keys and values (P, n, 2·W)."""
    norms = arrays["norms"][number]
    query = _by_head(_affine(_normalised(x, norms[0]), arrays["query"][number]))
    key, value = _by_head(known[..., :_W]), _by_head(known[..., _W:])
    found = _softmax(query @ np.swapaxes(key, -1, -2) / math.sqrt(_W / _H)) @ value  # (P, H, M, W / H)
    x = x + _affine(np.swapaxes(found, 1, 2).reshape(x.shape), arrays["out"][number])
    inner = _gelu(_affine(_normalised(x, norms[1]), arrays["up"][number]))
    result: np.ndarray = x + _affine(inner, arrays["down"][number])
    return result


def _by_head(x: np.ndarray) -> np.ndarray:
    """(P, n, W) → (P, H, n, W / H)."""
    return np.swapaxes(x.reshape(*x.shape[:-1], _H, -1), 1, 2)


def _map_of(weights: Arrays, name: str) -> np.ndarray:
    return np.concatenate([weights[f"{name}.weight"].T, weights[f"{name}.bias"][None]])


def _norm_of(weights: Arrays, name: str) -> np.ndarray:
    return np.stack([weights[f"{name}.weight"], weights[f"{name}.bias"]])


def _affine(x: np.ndarray, both: np.ndarray) -> np.ndarray:
    result: np.ndarray = x @ both[:-1] + both[-1]
    return result


def _normalised(x: np.ndarray, both: np.ndarray) -> np.ndarray:
    x = x - x.mean(-1, keepdims=True)
    result: np.ndarray = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5) * both[0] + both[1]
    return result


def _softmax(x: np.ndarray) -> np.ndarray:
    x = np.exp(x - x.max(-1, keepdims=True))
    x /= x.sum(-1, keepdims=True)
    return x


def _gelu(x: np.ndarray) -> np.ndarray:
    """Return x Φ(x). Φ is right to 1e-7: M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions", 1964, 7.1.26."""
    size = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * size)
    tail = np.float32(1.061405429) * t
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(factor)
        tail *= t
    tail *= np.exp(-np.square(size))  # 1 - erf |x / √2|
    result: np.ndarray = np.maximum(x, 0) - 0.5 * np.abs(x) * tail
    return result
