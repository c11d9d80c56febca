"""Networks that are not like what a learner needs: what came, what is wanted, and how to get there."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.learners import FEATURES, GRADIENT, TRAINED, answer, body, made, quickly, tasks, training_data
from kshot.data.arrays import ArrayDataset
from kshot.data.inputs import map_inputs
from kshot.episodes.item_stream import ItemBatch, ItemStream
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import DataError, RecipeError
from kshot.learners.backbone_form import plain_name, said, vectors_of
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.table import LEARNERS
from kshot.meta_train.loop import Plan, start, train

VECTORS = [name for name in LEARNERS if name not in ("pair_attention", "local_matching", "relation", "nearest")]


class Giving(nn.Module):
    """A linear layer, and then whatever a function makes of its output."""

    def __init__(self, give: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.give = nn.Linear(4, FEATURES), give

    def forward(self, x: Tensor) -> Any:
        return self.give(self.layer(x))


class Output(dict[str, Tensor]):
    """A mapping whose entries are attributes too, as of the transformers library."""

    def __getattr__(self, name: str) -> Tensor:
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


@dataclass
class Plain:
    vector: Tensor


def _keep(x: Tensor) -> Tensor:
    return x


GIVEN: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "a dictionary": (
        lambda x: {"tokens": x.unsqueeze(1), "vector": x},
        r"a mapping of tokens \(M, 1, 16\), vector \(M, 16\)\. Let its forward `return x\['vector'\]`\."),
    "an output with attributes": (
        lambda x: Output(last_hidden_state=x.unsqueeze(1), pooler_output=x),
        r"a Output of last_hidden_state \(M, 1, 16\), pooler_output \(M, 16\)\. .* `return x\.pooler_output`\."),
    "a tuple": (lambda x: (x, x.unsqueeze(1)), r"a tuple of \(M, 16\), \(M, 1, 16\)\. .* such as `return x\[0\]`\."),
    "an object": (Plain, r"a Plain\. Let its forward return one tensor, such as `return x\.pooler_output`\."),
    "nothing": (lambda x: None, r"a NoneType\. Let its forward return one tensor"),
    "tokens": (lambda x: torch.stack([x, x], 1), r"\(M, 2, 16\)\. Make one vector of its tokens: `return x\.mean\(1\)`"),
    "maps": (lambda x: x.view(-1, 4, 2, 2), r"\(M, 4, 2, 2\)\. End it with nn\.Flatten\(\)"),
    "one number each": (lambda x: x[:, 0], r"\(M,\)\. Keep the dimension of the vector: `return x\.unsqueeze\(1\)`\."),
    "a mean over items": (lambda x: x.mean(0, keepdim=True), r"\(1, 16\) for M = \d+\. Keep items separate"),
}  # fmt: skip


def train_on(learner: Learner, x: Callable[[Tensor], Tensor] = _keep) -> None:
    batch = tasks()
    batch = replace(batch, support_x=map_inputs(x, batch.support_x), query_x=map_inputs(x, batch.query_x))
    data = training_data(learner, batch)
    learner.for_training(data).train().meta_backward(data, 0.5)


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", quickly(VECTORS))
def test_what_is_not_one_vector_per_item_is_refused_with_the_way_out(name: str, given: str) -> None:
    give, message = GIVEN[given]
    learner = made(name, lambda: Giving(give))
    message = r"needs a backbone that gives one vector per item, \(M, D\); this one gives " + message
    with pytest.raises(RecipeError, match=message):
        answer(learner.eval(), tasks())
    if name in TRAINED and not (learner.training_source == "items" and given == "a mean over items"):  # one item has no other row
        with pytest.raises(RecipeError, match=message):
            train_on(learner)


@pytest.mark.parametrize("name", ["pair_attention", "local_matching", "relation", "nearest"])
@pytest.mark.parametrize(
    "given", ["a dictionary", "an output with attributes", "a tuple", "an object", "one number each", "a mean over items"]
)
def test_learners_of_maps_refuse_what_is_no_tensor_with_a_row_per_item(name: str, given: str) -> None:
    give, message = GIVEN[given]
    with pytest.raises(RecipeError, match=r"needs a backbone that gives .*; this one gives " + message):
        answer(made(name, lambda: Giving(give)).eval(), tasks())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["feat", "matching_fce", "siamese", "simple_shot", *(name for name in GRADIENT if name != "proto_maml")])
def test_another_number_of_features_than_the_learner_was_built_for(name: str) -> None:
    learner = made(name, lambda: nn.Linear(4, 5))
    with pytest.raises(RecipeError, match=r"was built with features=16; its backbone gives \(5,\) per item\. Set features to the number"):
        answer(learner.eval(), tasks())


def test_shapes_are_said_with_m_for_the_items() -> None:
    assert said(torch.zeros(3, 2), 3) == "(M, 2)"
    assert said(torch.zeros(()), 3) == "() for M = 3"
    assert said({"a": [torch.zeros(3)], "b": {}}, 3) == "a mapping of a a list of (M,), b a mapping of nothing"
    assert vectors_of(found := torch.zeros(3, 2), "It", 3, 2) is found


# Types of numbers.


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.uint8])
@pytest.mark.parametrize("name", quickly(TRAINED))
def test_numbers_of_another_type_are_named_in_training_and_answering(name: str, dtype: torch.dtype) -> None:
    learner, word = made(name), str(dtype)
    message = rf"the module computes with torch\.float32, and the items 'x' are {word} \(.*\)\. Convert them: x\.float\(\)"
    message += r", or the module: learner\.double\(\)" if dtype == torch.float64 else ""
    with pytest.raises(DataError, match=message):
        train_on(made(name), lambda x: x.to(dtype))
    with pytest.raises(DataError, match=message):
        answer(learner.eval(), replace(tasks(), support_x=torch.ones(2, 6, 4).to(dtype), query_x=torch.ones(2, 6, 4).to(dtype)))


class Ending(nn.Module):
    """A layer, and what is made of its numbers."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.end = nn.Linear(4, FEATURES), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.layer(x))


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "float64": Tensor.double,
    "float16": Tensor.half,
    "int64": Tensor.long,
    "bool": lambda x: x > 0,
    "complex64": lambda x: x.to(torch.complex64),
    "a sparse tensor": Tensor.to_sparse,
    r"a tensor without numbers \(meta\)": lambda x: x.to("meta"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["protonet", "ridge", "relation", "local_matching", "nearest", "baseline", "finetune", "mann", *quickly(GRADIENT)]
)
def test_features_that_no_learner_computes_with_are_refused(name: str, kind: str) -> None:
    learner = made(name, lambda: Ending(KINDS[kind])).eval()
    message = (
        rf"a backbone must give dense floating numbers, in float32 or in the type of its parameters, float32; this one gives {kind}\. "
    )
    with pytest.raises(RecipeError, match=message):
        answer(learner, tasks())


def test_features_in_the_type_of_the_parameters_and_in_float32_are_taken() -> None:
    wide = ProtoNet(Ending(lambda x: x)).double()
    assert wide.encode(torch.zeros(3, 4, dtype=torch.float64)).dtype == torch.float64
    narrow = ProtoNet(Ending(Tensor.float)).bfloat16()
    assert narrow.encode(torch.zeros(3, 4, dtype=torch.bfloat16)).dtype == torch.float32


def test_other_faults_of_a_network_are_its_own() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes"):
        ProtoNet(nn.Linear(4, 2)).encode(torch.zeros(3, 5))


# Compiled, lazy and sparse modules.


@pytest.mark.slow
@pytest.mark.parametrize("name", quickly(LEARNERS))
def test_a_compiled_backbone_answers_and_is_trained_like_the_plain_one(name: str) -> None:
    plain = made(name, lambda: nn.Linear(4, FEATURES))
    compiled = made(name, lambda: torch.compile(nn.Linear(4, FEATURES), backend="eager"))  # type: ignore[arg-type,return-value]  # a module
    assert any("_orig_mod" in key for key in compiled.state_dict())
    torch.testing.assert_close(answer(compiled.eval(), tasks()), answer(plain.eval(), tasks()))
    if name not in TRAINED:
        return
    for learner in (compiled, plain):
        torch.manual_seed(0)
        train_on(learner)
    slopes = {key: value.grad for key, value in plain.named_parameters() if value.grad is not None}
    found = {plain_name(key): value.grad for key, value in compiled.named_parameters() if value.grad is not None}
    assert slopes
    torch.testing.assert_close(found, slopes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["meta_sgd", "maml++", "reptile", "finetune", "siamese"])
def test_a_backbone_may_be_compiled_after_its_learner_was_made(name: str) -> None:
    learner = made(name, lambda: nn.Linear(4, FEATURES)).eval()
    before = answer(learner, tasks())
    learner.register_module("backbone", torch.compile(learner.get_submodule("backbone"), backend="eager"))  # type: ignore[arg-type]  # a module
    torch.testing.assert_close(answer(learner, tasks()), before)
    train_on(learner)


@pytest.mark.slow
def test_a_part_of_a_backbone_may_be_compiled() -> None:
    learner = made("maml", lambda: nn.Sequential(nn.Linear(4, 8), torch.compile(nn.Linear(8, FEATURES), backend="eager")))  # type: ignore[arg-type]  # a module
    train_on(learner)
    assert learner.get_parameter("backbone.1._orig_mod.weight").grad is not None
    assert answer(learner.eval(), tasks()).isfinite().all()


DATA = ArrayDataset(np.random.default_rng(0).random((18, 4), np.float32), np.arange(18) % 3)


def stream_for(learner: Learner) -> EpisodeStream | ItemStream:
    if learner.training_source == "items":
        return ItemStream(DATA, DATA.index, "all", 0, batch=6)
    return EpisodeStream(DATA, DATA.index, "all", EpisodeShape(3, 2, 2), 0, tasks=2)


@pytest.mark.parametrize("name", quickly([name for name in TRAINED if name not in GRADIENT]))
def test_a_lazy_module_that_was_never_called_is_named_when_training_starts(name: str) -> None:
    learner = made(name, lambda: nn.Sequential(nn.LazyLinear(FEATURES), nn.LazyBatchNorm1d(affine=False)))
    with pytest.raises(RecipeError, match=r"'backbone\.0\.weight' has no shape yet: it belongs to a lazy module\. Call the module once"):
        start(learner, Plan(1), stream_for(learner))
    learner.eval().get_submodule("backbone")(torch.ones(2, 4))
    assert next(train(start(learner, Plan(1), stream_for(learner)), stream_for(learner), Plan(1))).update == 1


@pytest.mark.parametrize("name", quickly(GRADIENT))
def test_a_lazy_module_that_was_never_called_is_named_when_the_learner_is_made(name: str) -> None:
    with pytest.raises(RecipeError, match=r"'backbone\.0\.weight' has no shape yet"):
        made(name, lambda: nn.Sequential(nn.LazyLinear(FEATURES)))


class Words(nn.Module):
    """Whole numbers (M, 4) → (M, 16)."""

    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(9, FEATURES, sparse=sparse), nn.Linear(FEATURES, FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layer(torch.tanh(self.table(x).mean(1)))
        return features


@pytest.mark.slow
@pytest.mark.parametrize("name", quickly(TRAINED))
def test_sparse_embeddings_are_trained_and_adapted_like_dense_ones(name: str) -> None:
    words = ArrayDataset(np.random.default_rng(1).integers(0, 9, (18, 4)), np.arange(18) % 3)
    found = []
    for sparse in (True, False):
        learner = made(name, lambda sparse=sparse: Words(sparse=sparse))  # type: ignore[misc]  # a default binds the value
        stream = replace(stream_for(learner), dataset=words, index=words.index)
        plan = Plan(2)
        steps = list(train(start(learner, plan, stream), stream, plan))
        batch = tasks()
        whole = replace(batch, support_x=torch.arange(48).view(2, 6, 4) % 9, query_x=torch.arange(48).view(2, 6, 4) % 7)
        assert learner.get_submodule("backbone.table").sparse is sparse
        found.append(([(step.loss, step.gradient_norm) for step in steps], answer(learner.eval(), whole)))
    torch.testing.assert_close(found[0], found[1])


def test_a_learner_whose_parameters_are_all_frozen_has_nothing_to_train() -> None:
    learner = ProtoNet(body().requires_grad_(False))
    with pytest.raises(RecipeError, match=r"all 4 parameters of this learner are frozen \(requires_grad=False\), so there is nothing"):
        start(learner, Plan(1), stream_for(learner))


def test_looking_at_a_network_changes_nothing() -> None:
    batch, learner = tasks(), made("maml", lambda: Giving(lambda x: x))
    before = copy.deepcopy(learner.state_dict())
    answer(learner.eval(), batch)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    assert isinstance(training_data(made("baseline"), batch), ItemBatch)
