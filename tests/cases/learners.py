"""Every learner of kshot on a small network for vectors, and tasks that all of them can read."""

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.item_stream import ItemBatch
from kshot.learners.learner import Batch, Learner
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.refinement.refined import Refined
from kshot.learners.refinement.soft_k_means import SoftKMeans
from kshot.learners.table import LEARNERS

NUMBERS, FEATURES, WAY = 4, 16, 3
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ensemble": {"learner": "protonet", "members": 2},
    "pair_attention": {"width": 16},
    "relation": {"width": 8},
    "imaml": {"steps": 2, "iterations": 2},
    "finetune": {"most_steps": 2},
    "reptile": {"inner_steps": 2, "adapt_steps": 2},
    "maml++": {"inner_steps": 2},
    "proto_maml": {"inner_steps": 2, "adapt_steps": 2},
    "meta_lstm": {"hidden": 4, "inner_steps": 2, "adapt_steps": 2},
    "mann": {"hidden": 8, "slots": 16, "width": 4},
    "lstm_control": {"hidden": 8},
    "in_context": {"slots": 4, "width": 8, "layers": 2, "members": 2},
    "snail": {"slots": 4, "length": 13, "filters": 8, "keys": [8, 8, 8]},
}
QUICK = {"protonet", "ridge", "maml", "finetune", "baseline", "mann", "refined"}
"""Learners that the quick tests try, one or two of each family."""
GRADIENT = ("maml", "first_order_maml", "anil", "boil", "proto_maml", "meta_sgd", "meta_lstm", "maml++", "reptile", "imaml")
TRAINED = [name for name in LEARNERS if name not in ("ensemble", "nearest")]


def quickly(names: Iterable[str]) -> list[Any]:
    """Return the names for `parametrize`; those of learners that only the slow tests try are marked so."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def body() -> nn.Module:
    """(M, 4) → (M, 16), with batch normalisation."""
    return nn.Sequential(nn.Linear(NUMBERS, FEATURES), nn.BatchNorm1d(FEATURES), nn.Tanh())


def made(name: str, backbone: Callable[[], nn.Module] = body) -> Learner:
    """Build a learner of the table, or `refined`, whose backbone gives 16 features, from a constant seed."""
    torch.manual_seed(0)
    if name == "refined":
        return Refined(ProtoNet(backbone()), SoftKMeans())
    asked = {"features": FEATURES, "outputs": WAY}
    known = {key: value for key, value in asked.items() if key in signature(LEARNERS[name]).parameters}
    return LEARNERS[name](backbone(), **known, **ARGUMENTS.get(name, {}))


def tasks(dtype: torch.dtype = torch.float32, *, item: tuple[int, ...] = (NUMBERS,)) -> EpisodeBatch:
    """Make two 3-way tasks with two support items and two queries per class: items (2, 6, *item)."""
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(6).remainder(WAY).expand(2, 6).contiguous()
    x, query = (3 * torch.randn(2, 6, *item, generator=generator) + y.view(2, 6, *[1] * len(item)) for _ in range(2))
    return EpisodeBatch(x.to(dtype), y, query.to(dtype), y.clone(), WAY, np.arange(2))


def training_data(learner: Learner, batch: EpisodeBatch) -> Batch:
    """The queries of tasks as labelled items, for learners that are trained on these; the tasks for others."""
    if learner.training_source != "items":
        return batch
    assert isinstance(batch.query_x, Tensor)
    return ItemBatch(batch.query_x.flatten(0, 1), batch.query_y.flatten(), WAY, np.arange(batch.query_y.numel()))


def answer(learner: Learner, batch: EpisodeBatch) -> Tensor:
    """Answer the queries of tasks, in the learner's first mode."""
    parts = [x for x in (batch.support_x, batch.query_x) if isinstance(x, Tensor)]
    support, query = ({"x": learner.encode(x.flatten(0, 1))}["x"] for x in parts)
    adapted = learner.adapt(unflattened(support, 2), batch.support_y, way=batch.way)
    ask = learner.predict if "inductive" in learner.modes else learner.predict_together
    return ask(adapted, unflattened(query, 2))


def unflattened(features: Any, B: int) -> Any:
    """Features (B·n, …), or a mapping of them, → (B, n, …)."""
    if isinstance(features, Tensor):
        return features.unflatten(0, (B, -1))
    return {name: value.unflatten(0, (B, -1)) for name, value in features.items()}
