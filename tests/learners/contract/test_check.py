"""The contract suite catches a learner that breaks a rule, for every rule; and it leaves the learner as it was."""

import copy
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.conv4 import Conv4
from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.episodes.item_stream import ItemBatch
from kshot.errors import ContractError
from kshot.learners.contract.check import ALWAYS, CLASSIFICATION, EPISODIC, FIRST, INDUCTIVE, ITEMS, UNORDERED, check_learner, made_batch
from kshot.learners.heads.centres import class_means, squared_distances
from kshot.learners.learner import Learner, Trainable, backward_of_query_loss, way_of
from kshot.learners.metric.protonet import ProtoNet

RULES = {**FIRST, **ALWAYS, **CLASSIFICATION, **UNORDERED, **INDUCTIVE, **EPISODIC}
ITEM_RULES = {**FIRST, **ALWAYS, **CLASSIFICATION, **UNORDERED, **INDUCTIVE, **ITEMS}


class Centres(NamedTuple):
    centres: Any


class Good:
    """The steps of a prototypical network as functions of the learner; broken learners replace one."""

    @staticmethod
    def encode(self: "Patched", x: Any) -> Any:
        return self.network(x.flatten(1))

    @staticmethod
    def adapt(self: "Patched", features: Any, y: Tensor, way: int | None) -> Any:
        centres = class_means(features, y, way_of(y, way))
        return Centres(centres if self.training else centres.detach())

    @staticmethod
    def predict(self: "Patched", adapted: Any, features: Any) -> Any:
        return -squared_distances(features, adapted.centres)

    @staticmethod
    def meta_backward(self: "Patched", batch: EpisodeBatch, progress: float) -> Any:
        return backward_of_query_loss(self, batch)


class Patched(Learner):
    """A learner whose steps are given; with none given it keeps the contract."""

    def __init__(self, **steps: Callable[..., Any]) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(784, 6), nn.BatchNorm1d(6))
        self.family = Classification()
        self.steps = {name: steps.get(name, getattr(Good, name)) for name in ("encode", "adapt", "predict", "meta_backward")}

    def encode(self, x: Inputs) -> Any:
        return self.steps["encode"](self, x)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Any:
        return self.steps["adapt"](self, support_features, support_y, way)

    def predict(self, adapted: Any, query_features: Inputs) -> Any:
        return self.steps["predict"](self, adapted, query_features)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Any:
        return self.steps["meta_backward"](self, batch, progress)


class NoModes(Patched):
    modes = ()


class OneString(Patched):
    modes = "inductive"  # type: ignore[assignment]  # the mistake under test


class Ordered(Patched):
    depends_on_support_order = True


class UnknownSource(Patched):
    training_source = "pictures"  # type: ignore[assignment]  # the mistake under test


class PromisesTogether(Patched):
    modes = ("inductive", "transductive")


class HidesTogether(Patched):
    def predict_together(self, adapted: Any, query_features: Inputs) -> Any:
        return self.predict(adapted, query_features)


class Transductive(Patched):
    """Keeps the contract with both modes: the queries' mean moves all of them."""

    modes = ("inductive", "transductive")

    def predict_together(self, adapted: Any, query_features: Inputs) -> Any:
        assert isinstance(query_features, Tensor)
        return self.predict(adapted, query_features - query_features.mean(1, keepdim=True))


class HeadOver(Trainable):
    """Trains a learner by items; the step is given."""

    def __init__(self, learner: "PatchedItems", head: nn.Module, step: Callable[..., Any]) -> None:
        super().__init__()
        self.learner, self.head, self.step = learner, head, step

    def losses(self, batch: ItemBatch) -> Tensor:
        return nn.functional.cross_entropy(self.head(self.learner.encode(batch.x)), batch.y, reduction="none")

    def meta_backward(self, batch: ItemBatch, progress: float) -> Any:
        return self.step(self, batch, progress)


def good_item_step(trained: HeadOver, batch: ItemBatch, progress: float) -> Any:
    losses = trained.losses(batch)
    losses.mean().backward()  # type: ignore[no-untyped-call]
    return losses.detach()


class PatchedItems(Patched):
    """Trained by items, with a given step; with none given it keeps the contract."""

    training_source = "items"

    def __init__(self, step: Callable[..., Any] = good_item_step, learner: Callable[["PatchedItems"], Any] = lambda self: self) -> None:
        super().__init__()
        self.step, self.held = step, learner

    def for_training(self, example: Any) -> Trainable:
        return HeadOver(self.held(self), nn.Linear(6, example.way), self.step)


def mean_item_loss(trained: HeadOver, batch: ItemBatch, progress: float) -> Any:
    return good_item_step(trained, batch, progress).mean()


def no_item_backward(trained: HeadOver, batch: ItemBatch, progress: float) -> Any:
    return trained.losses(batch).detach()


def steps_the_head(trained: HeadOver, batch: ItemBatch, progress: float) -> Any:
    losses = good_item_step(trained, batch, progress)
    with torch.no_grad():
        next(trained.head.parameters()).add_(1e-3)
    return losses


def switches_all_of_the_learner(trained: HeadOver, batch: ItemBatch, progress: float) -> Any:
    trained.learner.network.train()
    return good_item_step(trained, batch, progress)


def trains_the_head_alone(trained: HeadOver, batch: ItemBatch, progress: float) -> Any:
    with torch.no_grad():
        features = trained.learner.encode(batch.x)
    losses = nn.functional.cross_entropy(trained.head(features), batch.y, reduction="none")
    losses.mean().backward()  # type: ignore[no-untyped-call]
    return losses.detach()


def random_item_step() -> Learner:
    generator = torch.Generator().manual_seed(0)  # goes on from call to call

    def step(trained: HeadOver, batch: ItemBatch, progress: float) -> Any:
        losses = trained.losses(batch) * (1 + torch.rand((), generator=generator))
        losses.mean().backward()  # type: ignore[no-untyped-call]
        return losses.detach()

    return PatchedItems(step)


class KeepsItsHead(PatchedItems):
    def for_training(self, example: Any) -> Trainable:
        self.head = nn.Linear(6, example.way)
        return HeadOver(self, self.head, self.step)


def without_family() -> Learner:
    learner = Patched()
    del learner.family
    return learner


def remember(learner: Patched, name: str, value: object) -> None:
    setattr(learner, name, value)


# encode


def joins_items(learner: Patched, x: Tensor) -> Any:
    return Good.encode(learner, x).flatten().unsqueeze(0)


def looks_at_the_batch(learner: Patched, x: Tensor) -> Any:
    features = Good.encode(learner, x)
    return features - features.mean(0)


# adapt


def returns_a_tensor(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    return Good.adapt(learner, features, y, way).centres


def joins_tasks(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    return Centres(Good.adapt(learner, features, y, way).centres.flatten(0, 1))


def keeps_the_graph(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    return Centres(class_means(features, y, way_of(y, way)))


def draws(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    centres = Good.adapt(learner, features, y, way).centres
    return Centres(centres + torch.randn(centres.shape))


def seeds_the_global_generator(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    torch.manual_seed(0)
    return draws(learner, features, y, way)


def mixes_tasks(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    centres = Good.adapt(learner, features, y, way).centres
    return Centres(centres + 0.5 * centres.nan_to_num().mean(0))


def prefers_early_items(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    falling = 0.5 ** torch.arange(y.shape[1])
    return Good.adapt(learner, features * falling[:, None], y, way)


def wants_balance(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    order = y.sort(dim=1, stable=True).indices
    sorted_features = features.gather(1, order[..., None].expand_as(features))
    centres = sorted_features.unflatten(1, (way_of(y, way), -1)).mean(2)
    return Centres(centres if learner.training else centres.detach())


def stores_on_self(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    adapted = Good.adapt(learner, features, y, way)
    remember(learner, "last", adapted.centres)
    return adapted


def moves_a_parameter(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    with torch.no_grad():
        next(learner.parameters()).mul_(1 + 1e-6)
    return Good.adapt(learner, features, y, way)


def calls_train(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    learner.network.train()
    return Good.adapt(learner, features, y, way)


def leaves_a_gradient(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    if torch.is_grad_enabled() and features.requires_grad:
        features.sum().backward(retain_graph=True)
    return Good.adapt(learner, features, y, way)


def needs_gradients(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    centres = Good.adapt(learner, features, y, way).centres.requires_grad_()
    (slope,) = torch.autograd.grad(centres.square().sum(), centres)
    return Centres((centres - 0.1 * slope).detach())


def ignores_way(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    return Good.adapt(learner, features, y, None)


def needs_way(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    return Good.adapt(learner, features, y, 7 if way is None else way)


def spreads_nan(learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
    centres = Good.adapt(learner, features, y, way).centres
    return Centres(centres - centres.mean(1, keepdim=True))


class Box:
    """What calls share without the learner showing it."""

    def __init__(self) -> None:
        self.centres: Any = None
        self.calls = 0

    def adapt(self, learner: Patched, features: Tensor, y: Tensor, way: int | None) -> Any:
        self.centres = Good.adapt(learner, features, y, way).centres
        return Centres(torch.zeros(len(y)))

    def predict(self, learner: Patched, adapted: Any, features: Tensor) -> Any:
        return -squared_distances(features, self.centres)

    def count(self, learner: Patched, adapted: Any, features: Tensor) -> Any:
        self.calls += 1
        return Good.predict(learner, adapted, features) * self.calls


def box_of_one_task() -> Learner:
    box = Box()
    return Patched(adapt=lambda *step: box.adapt(*step), predict=lambda *step: box.predict(*step))


def counting() -> Learner:
    box = Box()
    return Patched(predict=lambda *step: box.count(*step))


# predict


def only_in_the_main_thread(learner: Patched, adapted: Any, features: Tensor) -> Any:
    factor = 1 if threading.current_thread() is threading.main_thread() else 2
    return factor * Good.predict(learner, adapted, features)


def normalises_queries(learner: Patched, adapted: Any, features: Tensor) -> Any:
    return Good.predict(learner, adapted, features - features.mean(1, keepdim=True))


def unsaved_scale() -> Learner:
    learner = Patched(predict=lambda self, adapted, features: self.scale * Good.predict(self, adapted, features))
    remember(learner, "scale", torch.tensor(3.0))
    return learner


# meta_backward


def returns_the_mean(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
    return Good.meta_backward(learner, batch, progress).mean()


def returns_a_graph(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
    return Good.meta_backward(learner, batch, progress) + next(learner.parameters()).sum()


def ends_badly(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
    return Good.meta_backward(learner, batch, progress) / (1 - progress)


def forgets_backward(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
    losses = Good.meta_backward(learner, batch, progress)
    learner.zero_grad()
    return losses


def spoils_a_gradient(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
    losses = Good.meta_backward(learner, batch, progress)
    gradient = next(learner.parameters()).grad
    assert gradient is not None
    gradient[0, 0] = float("nan")
    return losses


def own_randomness() -> Learner:
    generator = np.random.default_rng(0)

    def meta_backward(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
        losses = Good.meta_backward(learner, batch, progress)
        gradient = next(learner.parameters()).grad
        assert gradient is not None
        gradient += generator.normal()
        return losses

    return Patched(meta_backward=meta_backward)


def steps_itself(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
    losses = Good.meta_backward(learner, batch, progress)
    with torch.no_grad():
        for parameter in learner.parameters():
            assert parameter.grad is not None
            parameter -= 0.1 * parameter.grad
    return losses


def counts_updates(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
    remember(learner, "updates", 1)
    return Good.meta_backward(learner, batch, progress)


class Rebuilt(Patched):
    """A learner that loading can build; broken ones forget something that the constructor was not given."""

    def __init__(self, backbone: nn.Module, scale: float = 2.0, family: TaskFamily | None = None) -> None:
        super().__init__()
        self.backbone, self.scale = backbone, scale
        self.family = family or Classification()

    def predict(self, adapted: Any, query_features: Inputs) -> Any:
        return self.scale * super().predict(adapted, query_features)


def changed_after_it_was_built() -> Learner:
    learner = Rebuilt(nn.Identity())
    learner.scale = 3.0
    return learner


class LosesItsBackbone(Rebuilt):
    def __init__(self, backbone: nn.Module, scale: float = 2.0, family: TaskFamily | None = None) -> None:
        super().__init__(backbone, scale, family)
        del self.backbone


def switches_all(learner: Patched, batch: EpisodeBatch, progress: float) -> Any:
    learner.network.train()
    return Good.meta_backward(learner, batch, progress)


DECLARED = "family, modes and training_source are declared"
UNCHANGED = "encode, adapt and predict change nothing"
LOSSES = "meta_backward gives B detached finite losses"
FORM = "answers are finite numbers of the right shape"
BROKEN: list[tuple[str, str, Callable[[], Learner]]] = [
    (DECLARED, "self.family to be a TaskFamily, found None", without_family),
    (DECLARED, "modes to be a tuple of some of inductive, transductive, found ()", NoModes),
    (DECLARED, "found 'inductive'", OneString),
    (DECLARED, "training_source to be 'episodes', 'items' or 'none', found 'pictures'", UnknownSource),
    (DECLARED, "expected predict_together", PromisesTogether),
    (DECLARED, "expected no predict_together", HidesTogether),
    ("encode gives one row of features per item", "one row per item, 45 in all; found torch.float32 (1, 270)",
     lambda: Patched(encode=joins_items)),
    ("adapt gives a named tuple with B first", "named tuple, found Tensor", lambda: Patched(adapt=returns_a_tensor)),
    ("adapt gives a named tuple with B first", "centres to be a tensor with one row per task, 3 in all; found torch.float32 (15, 6)",
     lambda: Patched(adapt=joins_tasks)),
    (FORM, "floating numbers (3, 15, 5), found torch.float32 (3, 15, 1)",
     lambda: Patched(predict=lambda *step: Good.predict(*step)[..., :1])),
    (FORM, "floating numbers (3, 15, 5), found torch.int64 (3, 15, 5)", lambda: Patched(predict=lambda *step: Good.predict(*step).long())),
    (FORM, "found NaN or infinity", lambda: Patched(predict=lambda *step: Good.predict(*step).sqrt())),
    ("encode looks at each item independently", "the same features however items are batched", lambda: Patched(encode=looks_at_the_batch)),
    ("adapt gives detached tensors in evaluation mode", "a graph behind centres", lambda: Patched(adapt=keeps_the_graph)),
    ("the same question gives the same answer", "the same answer when asked again, found a difference", lambda: Patched(adapt=draws)),
    ("the same question gives the same answer", "keep nothing between calls", counting),
    ("the global random generator stays unchanged", "found it moved", lambda: Patched(adapt=seeds_the_global_generator)),
    ("two interleaved tasks do not touch", "tasks adapted in between", box_of_one_task),
    ("a batch of tasks equals single tasks", "answered independently", lambda: Patched(adapt=mixes_tasks)),
    ("support sets may be unbalanced", "expected an answer, found RuntimeError", lambda: Patched(adapt=wants_balance)),
    (UNCHANGED, "found changes in last", lambda: Patched(adapt=stores_on_self)),
    (UNCHANGED, "found changes in network.0.[", lambda: Patched(adapt=moves_a_parameter)),
    (UNCHANGED, "network.0.training", lambda: Patched(adapt=calls_train)),
    (UNCHANGED, ".grad", lambda: Patched(adapt=leaves_a_gradient)),
    ("no_grad gives the same answer", "expected an answer, found RuntimeError", lambda: Patched(adapt=needs_gradients)),
    ("several threads get the same answer", "several threads at once", lambda: Patched(predict=only_in_the_main_thread)),
    ("saved and loaded parameters give the same answer", "a parameter or a buffer", unsaved_scale),
    ("built again from its arguments, it is the same learner", "built with its arguments {'scale': 2.0}, found a difference",
     changed_after_it_was_built),
    ("built again from its arguments, it is the same learner", "as the attribute backbone, found NoneType",
     lambda: LosesItsBackbone(nn.Identity())),
    ("adapt reads the way from the labels", "when way is not given", lambda: Patched(adapt=needs_way)),
    ("a class without support items leaves the others usable", "expected 5 outputs", lambda: Patched(adapt=ignores_way)),
    ("a class without support items leaves the others usable", "with NaN or infinity", lambda: Patched(adapt=spreads_nan)),
    ("an answer does not depend on the order of the support", "in reverse order, found a difference",
     lambda: Patched(adapt=prefers_early_items)),
    ("an answer does not depend on the other queries", "queries 1 at a time", lambda: Patched(predict=normalises_queries)),
    (LOSSES, "one floating loss per task, (3,), found torch.float32 ()", lambda: Patched(meta_backward=returns_the_mean)),
    (LOSSES, "found a graph behind them", lambda: Patched(meta_backward=returns_a_graph)),
    (LOSSES, "at progress 1.0", lambda: Patched(meta_backward=ends_badly)),
    ("meta_backward leaves a gradient", "a gradient that is not zero, found none", lambda: Patched(meta_backward=forgets_backward)),
    ("meta_backward leaves a gradient", "NaN or infinity in network.0.weight", lambda: Patched(meta_backward=spoils_a_gradient)),
    ("meta_backward is a function of its seed", "the same gradients from the same seed", own_randomness),
    ("meta_backward changes nothing but gradients and buffers", "found changes in network.0.[",
     lambda: Patched(meta_backward=steps_itself)),
    ("meta_backward changes nothing but gradients and buffers", "found changes in updates",
     lambda: Patched(meta_backward=counts_updates)),
    ("meta_backward keeps frozen normalisation as it is", "found changes in network.1.running_mean, network.1.running_var",
     lambda: Patched(meta_backward=switches_all)),
    ("for_training leaves the learner unchanged", "found changes in _modules['head']", KeepsItsHead),
    ("training by items reaches the learner's own parameters", "found network.0.weight, network.0.bias",
     lambda: PatchedItems(learner=copy.deepcopy)),
    ("training by items reaches the learner's own parameters", "found one only in the head", lambda: PatchedItems(trains_the_head_alone)),
    ("training by items gives M detached finite losses", "one floating loss per item, (45,), found torch.float32 ()",
     lambda: PatchedItems(mean_item_loss)),
    ("training by items leaves a gradient", "a gradient that is not zero, found none", lambda: PatchedItems(no_item_backward)),
    ("training by items is a function of its seed", "the same losses from the same seed", random_item_step),
    ("training by items changes nothing but gradients and buffers", "found changes in head.", lambda: PatchedItems(steps_the_head)),
    ("training by items keeps frozen normalisation as it is", "found changes in network.1.running_mean",
     lambda: PatchedItems(switches_all_of_the_learner)),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "message", "learner"), BROKEN, ids=[f"{rule}: {message}" for rule, message, _ in BROKEN])
def test_a_broken_rule_is_caught_and_named(rule: str, message: str, learner: Callable[[], Learner]) -> None:
    torch.manual_seed(0)
    with pytest.raises(ContractError) as error:
        check_learner(learner())
    complaints = [line for line in str(error.value).split("\n") if line.lstrip().startswith(f"- {rule}: ")]
    assert len(complaints) == 1, str(error.value)
    assert message in complaints[0]


def test_every_rule_has_a_learner_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == {*RULES, *ITEM_RULES}


@pytest.mark.slow
def test_learners_that_keep_the_contract_pass() -> None:
    torch.manual_seed(0)
    held = check_learner(Patched())
    assert sorted(held) == sorted(RULES)
    assert sorted(check_learner(Transductive())) == sorted(RULES)
    assert sorted(check_learner(Rebuilt(nn.Identity(), 5.0))) == sorted(RULES)
    assert sorted(check_learner(PatchedItems())) == sorted(ITEM_RULES)


def test_all_broken_rules_are_listed_at_once() -> None:
    torch.manual_seed(0)
    with pytest.raises(ContractError) as error:
        check_learner(Patched(encode=looks_at_the_batch, meta_backward=forgets_backward))
    text = str(error.value)
    assert text.startswith("Patched breaks ")
    assert "- encode looks at each item independently: " in text
    assert "- meta_backward leaves a gradient: " in text


def test_when_the_form_is_wrong_nothing_else_is_tried() -> None:
    with pytest.raises(ContractError) as error:
        check_learner(Patched(adapt=returns_a_tensor))
    assert "The other rules were not tried" in str(error.value)
    assert "meta_backward" not in str(error.value)


def test_a_learner_that_reads_something_else_is_told_to_give_a_batch() -> None:
    with pytest.raises(ContractError, match=r"ProtoNet cannot encode the tasks made for the check.*check_learner\(learner, batch=\.\.\.\)"):
        check_learner(ProtoNet(nn.Linear(3, 2)))
    batch = made_batch()
    with pytest.raises(ContractError, match="cannot encode the batch that was given: RuntimeError"):
        check_learner(ProtoNet(nn.Linear(3, 2)), batch)


def test_a_learner_that_cannot_be_copied_says_why() -> None:
    learner = Patched()
    remember(learner, "last", next(learner.parameters()) * 2)  # a tensor with a graph
    with pytest.raises(ContractError, match="Patched cannot be copied, but the check needs copies: RuntimeError: Only Tensors created"):
        check_learner(learner)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_the_learner_stays_exactly_as_it_was(training: bool) -> None:
    torch.manual_seed(0)
    learner = ProtoNet(Conv4(width=4)).train(training)
    learner.backbone.train(False)
    learner.meta_backward(made_batch(), 0.0)
    before = copy.deepcopy(learner.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in learner.parameters()]
    flags = [module.training for module in learner.modules()]
    attributes = [set(vars(module)) for module in learner.modules()]
    generator = torch.get_rng_state()
    check_learner(learner)
    assert all(torch.equal(before[name], value) for name, value in learner.state_dict().items())
    for gradient, parameter in zip(gradients, learner.parameters(), strict=True):
        assert gradient is not None
        assert parameter.grad is not None
        assert torch.equal(gradient, parameter.grad)
    assert flags == [module.training for module in learner.modules()]
    assert attributes == [set(vars(module)) for module in learner.modules()]
    assert torch.equal(generator, torch.get_rng_state())


def test_a_learner_that_declares_it_may_depend_on_the_order_of_the_support() -> None:
    torch.manual_seed(0)
    assert sorted(check_learner(Ordered(adapt=prefers_early_items))) == sorted({*RULES} - {*UNORDERED})


def test_it_runs_under_no_grad_too() -> None:
    with torch.no_grad():
        assert "meta_backward leaves a gradient" in check_learner(Patched())


def test_the_made_batch_is_always_the_same_and_as_described() -> None:
    torch.manual_seed(1)
    first = made_batch()
    torch.manual_seed(2)
    second = made_batch()
    assert isinstance(first.support_x, Tensor)
    assert isinstance(first.query_x, Tensor)
    assert torch.equal(first.support_x, second.support_x)  # type: ignore[arg-type]  # a tensor, too
    assert first.support_x.shape == (3, 10, 1, 28, 28)
    assert first.query_x.shape == (3, 15, 1, 28, 28)
    assert first.support_x.dtype == torch.float32
    assert 0 <= first.support_x.min() < first.support_x.max() <= 1
    for y, count in ((first.support_y, 2), (first.query_y, 3)):
        assert y.dtype == torch.int64
        assert (torch.stack([(y == label).sum(1) for label in range(5)]) == count).all()
    # Classes are told apart by their pixels alone.
    learner = ProtoNet(nn.Flatten()).eval()
    task = learner.adapt(first.support_x.flatten(2), first.support_y, way=5)
    assert (learner.predict(task, first.query_x.flatten(2)).argmax(-1) == first.query_y).all()
