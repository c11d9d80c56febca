"""Bad input of the learners by gradient steps: each is refused in words, by all of them, and leaves the learner as it was."""

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.gradient.anil import ANIL
from kshot.learners.gradient.first_order_maml import FirstOrderMAML
from kshot.learners.gradient.imaml import IMAML
from kshot.learners.gradient.maml import MAML
from kshot.learners.gradient.maml_plus_plus import MAMLPlusPlus
from kshot.learners.gradient.meta_sgd import MetaSGD
from kshot.learners.gradient.proto_maml import ProtoMAML
from kshot.learners.gradient.reptile import Reptile
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.implicit import implicit
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.learned_updates.meta_lstm import MetaLSTM
from kshot.learners.learner import Learner, with_steps

LEARNERS: dict[str, Callable[..., Any]] = {
    "maml": MAML, "first_order_maml": FirstOrderMAML, "anil": ANIL, "meta_sgd": MetaSGD, "maml++": MAMLPlusPlus, "imaml": IMAML,
    "reptile": Reptile, "meta_lstm": MetaLSTM, "proto_maml": lambda backbone, features, outputs, **own: ProtoMAML(backbone, **own),
}  # fmt: skip
every_learner = pytest.mark.parametrize("name", LEARNERS)


def made(name: str, backbone: nn.Module | None = None, **settings: Any) -> Learner:
    torch.manual_seed(1)
    body = nn.Sequential(nn.Linear(4, 6), nn.Tanh()) if backbone is None else backbone
    learner: Learner = LEARNERS[name](body, features=6, outputs=3, **settings)
    return learner


def batch(tasks: int = 3, **changed: Any) -> EpisodeBatch:
    generator = torch.Generator().manual_seed(2)
    y = (torch.arange(6) % 3).expand(tasks, 6).contiguous()
    x, query = torch.randn(2, tasks, 6, 4, generator=generator)
    whole = {"support_x": x, "support_y": y, "query_x": query, "query_y": y.clone(), "way": 3, "numbers": np.arange(tasks)}
    return EpisodeBatch(**{**whole, **changed})


def as_it_was(learner: Learner, ask: Callable[[], Any], kind: type[Exception], message: str) -> None:
    before = copy.deepcopy(learner.state_dict())
    with pytest.raises(kind, match=message):
        ask()
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


@every_learner
def test_a_label_that_pytorch_would_ignore(name: str) -> None:
    learner, given = made(name), batch()
    given.support_y[1, 2] = -100
    message = r"labels must be between 0 and 2; support item 2 of task 1 of the batch has -100"
    as_it_was(learner, lambda: learner.eval().adapt(given.support_x, given.support_y, way=3), DataError, message)
    message = r"labels must lie between 0 and 2; found -100 to 2"
    as_it_was(learner, lambda: learner.train().meta_backward(given, 0.0), DataError, message)


@pytest.mark.slow
@every_learner
def test_items_and_labels_of_different_sizes(name: str) -> None:
    learner, given = made(name), batch()
    x, y = given.support_x, given.support_y
    assert isinstance(x, Tensor)
    for items, labels in ((x, y[:2]), (x[:2], y), (x, y[:, :4]), (x[:, :4], y)):
        message = r"all tasks of a batch must have one size: support_y is .* and support_x \(x\) begins with"
        as_it_was(learner, lambda items=items, labels=labels: learner.eval().adapt(items, labels, way=3), DataError, message)  # type: ignore[misc]
        other = batch(support_x=items, support_y=labels)
        as_it_was(learner, lambda other=other: learner.train().meta_backward(other, 0.0), DataError, message)  # type: ignore[misc]
    adapted = learner.eval().adapt(x, y, way=3)
    for queries in (x[:2], torch.cat([x, x]), x[0, 0]):
        with pytest.raises(DataError, match=r"queries must be \(B, Q, …\) of the 3 tasks that were adapted to; found shape"):
            learner.predict_together(adapted, queries)


@every_learner
def test_nothing_to_learn_from(name: str) -> None:
    learner, given = made(name), batch()
    assert isinstance(given.support_x, Tensor)
    for tasks, items in ((0, 6), (3, 0)):
        x, y = given.support_x[:tasks, :items], given.support_y[:tasks, :items]
        with pytest.raises(DataError, match=r"there must be a task, and each must have an item"):
            learner.eval().adapt(x, y, way=3)
    with pytest.raises(DataError, match=r"query_y is \(3, 0\): there must be a task"):
        learner.train().meta_backward(batch(query_x=given.support_x[:, :0], query_y=given.support_y[:, :0]), 0.0)


@every_learner
def test_items_that_are_no_tensors(name: str) -> None:
    x = np.zeros((3, 6, 4), np.float32)
    with pytest.raises(DataError, match=r"support_x \(x\) is a ndarray"):
        made(name).eval().adapt(x, batch().support_y, way=3)  # type: ignore[arg-type]


@every_learner
def test_items_that_the_network_cannot_read(name: str) -> None:
    learner, wide = made(name), torch.zeros(3, 6, 5)
    message = r"the network cannot read these items of one task, x \(6, 5\) \(RuntimeError: mat1 and mat2 shapes"
    as_it_was(learner, lambda: learner.eval().adapt(wide, batch().support_y, way=3), DataError, message)
    if name != "reptile":  # which puts support and query together first
        as_it_was(learner, lambda: learner.train().meta_backward(batch(query_x=wide), 0.0), DataError, message)


class Words(nn.Module):
    """Whole numbers (n, 4) → (n, 6), by an embedding that PyTorch renormalises as it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 6, max_norm=0.5)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.table(x).mean(1)
        return features


@every_learner
def test_an_index_outside_the_embedding_is_named(name: str) -> None:
    words = Words()
    words.table.max_norm = None
    with pytest.raises(DataError, match=r"cannot read these items of one task, x \(6, 4\) \(IndexError: index out of range"):
        made(name, words).eval().adapt(torch.full((3, 6, 4), 9), batch().support_y, way=3)


@pytest.mark.slow
@every_learner
def test_a_forward_pass_that_changes_its_parameters(name: str) -> None:
    x = torch.arange(72).reshape(3, 6, 4) % 7
    learner = made(name, Words())
    message = r"changes the parameter '(backbone|0)\.table\.weight' of Embedding"
    as_it_was(learner, lambda: learner.eval().adapt(x, batch().support_y, way=3), RecipeError, message)
    as_it_was(learner, lambda: learner.train().meta_backward(batch(support_x=x, query_x=x), 0.0), RecipeError, message)


def test_a_change_by_data_is_found_and_does_not_reach_the_module() -> None:
    class Shrinking(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            self.weight.data.mul_(0.9)
            return super().forward(x)

    class Assigning(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                self.weight *= 0.9
            return super().forward(x)

    for kind, message in ((Shrinking, "changes the parameter '0.weight'"), (Assigning, "assigns a parameter")):
        module = nn.Sequential(kind(4, 3))
        before = copy.deepcopy(module.state_dict())
        with pytest.raises(RecipeError, match=message):
            meta_gradient(module, divide_parameters(module), Classification(), batch(), InnerLoop(2))
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_tensor_that_is_kept_without_being_registered() -> None:
    class Counting(nn.Linear):
        seen: Tensor

        def forward(self, x: Tensor) -> Tensor:
            self.seen = self.seen + x.detach().mean(0)
            return super().forward(x + self.seen)

    module = nn.Sequential(Counting(4, 3))
    module[0].seen = torch.zeros(4)
    with pytest.raises(RecipeError, match=r"changes '0\.seen', a tensor that the module keeps without having registered it"):
        meta_gradient(module, divide_parameters(module), Classification(), batch(), InnerLoop(2, mode=flat))


def test_parameters_that_adapt_and_are_not_used() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.used(x)
            return logits

    module = Half()
    for mode in (unrolled, flat, first_order):
        with pytest.raises(RecipeError, match=r"the loss does not depend on any parameter that adapts"):
            meta_gradient(module, divide_parameters(module, "idle"), Classification(), batch(), InnerLoop(2, mode=mode))
        meta_gradient(module, divide_parameters(module, "used"), Classification(), batch(), InnerLoop(2, mode=mode))


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        (np.arange(1), r"shape \(1,\) of int64"), (np.arange(9), r"shape \(9,\)"), ([0, 1, 2], "a list"),
        (np.zeros(3), r"shape \(3,\) of float64"),
    ],
)  # fmt: skip
@every_learner
def test_numbers_of_other_tasks(name: str, numbers: Any, found: str) -> None:
    with pytest.raises(DataError, match=rf"numbers must be whole numbers, one per task, a NumPy array of shape \(3,\); found {found}"):
        made(name).train().meta_backward(batch(numbers=numbers), 0.0)


def test_queries_that_are_no_numbers_are_not_blamed_on_the_rate() -> None:
    given = batch()
    assert isinstance(given.query_x, Tensor)
    given.query_x[1, 4, 0] = torch.nan
    for name in ("maml", "first_order_maml", "anil", "meta_sgd", "imaml"):
        with pytest.raises(TrainingError, match=r"the query loss of episode 1 is nan: its query item 4 \(x\) holds numbers that are not"):
            made(name).train().meta_backward(given, 0.0)


class Wrong:
    """A family whose loss is whatever it is told."""

    name: ClassVar[str] = "wrong"
    score_name: ClassVar[str] = "score"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, give: Callable[[Tensor], Any]) -> None:
        self.give = give

    def loss(self, outputs: Tensor, y: Tensor) -> Any:
        return self.give(outputs)

    def score(self, outputs: Tensor, y: Tensor) -> Tensor:
        return outputs.double().flatten(1).mean(1)


@pytest.mark.parametrize(
    ("give", "found"),
    [
        (lambda outputs: 3.0, "a float"), (lambda outputs: None, "a NoneType"), (lambda outputs: (outputs.mean(),), "a tuple"),
        (lambda outputs: outputs.detach().mean((1, 2)).numpy(), "a ndarray"),
        (lambda outputs: outputs.mean((1, 2)).to(torch.complex64), "a tensor of torch.complex64"),
        (lambda outputs: outputs.argmax(2).sum(1), "a tensor of torch.int64"),
    ],
)  # fmt: skip
def test_a_loss_that_is_no_tensor_of_numbers(give: Callable[[Tensor], Any], found: str) -> None:
    module, family = nn.Linear(4, 3), Wrong(give)
    with pytest.raises(RecipeError, match=rf"loss of family 'wrong' must be a tensor of real numbers, one per task; found {found}"):
        meta_gradient(module, divide_parameters(module), family, batch(), InnerLoop(1))
    checked: TaskFamily = family
    assert checked.name == "wrong"


@pytest.mark.parametrize("value", [1.5, float("nan"), None, "2", True])
@every_learner
def test_counts_that_are_no_whole_numbers(name: str, value: Any) -> None:
    count = "steps" if name == "imaml" else "inner_steps"
    with pytest.raises(RecipeError, match=rf"{count}( of .*)? must be a whole number, [01] or more; found"):
        made(name, **{count: value})
    if name != "proto_maml":  # its heads have as many outputs as a task has classes
        with pytest.raises(RecipeError, match=r"outputs( of .*)? must be a whole number, 1 or more; found"):
            LEARNERS[name](nn.Identity(), features=4, outputs=value)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan"), None, "fast", True, 1e300, 1e-60, 10**400])
@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "meta_lstm"])  # its gates are the rates
def test_rates_that_are_no_positive_numbers(name: str, value: Any) -> None:
    rate = "highest" if name == "meta_sgd" else "inner_lr"
    with pytest.raises(RecipeError, match=rf"{rate}( of .*)? must be a positive number( that float32 holds, .*)?; found"):
        made(name, **{rate: value})


@every_learner
def test_modules_that_cannot_be_copied_or_have_no_shape_yet(name: str) -> None:
    given = batch()

    class Keeping(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            self.last = super().forward(x)  # part of a graph, which PyTorch does not copy
            return self.last

    keeping = Keeping(4, 6)
    keeping(torch.zeros(2, 4))
    with pytest.raises(RecipeError, match=r"works on a copy of the module, and .* cannot be copied \(Only Tensors created explicitly"):
        made(name, keeping).eval().adapt(given.support_x, given.support_y, way=3)
    if name not in ("maml++", "meta_sgd", "reptile"):  # whose rates and moments have the parameters' shapes from the first
        with pytest.raises(RecipeError, match=r"weight' has no shape yet: it belongs to a lazy module. Call the module once"):
            made(name, nn.LazyLinear(6)).eval().adapt(given.support_x, given.support_y, way=3)


def test_settings_of_the_inner_loop_itself() -> None:
    for wrong, message in (
        (lambda: implicit(0.0, 3), "the regularisation of an implicit gradient must be a positive number; found 0.0"),
        (lambda: implicit(-1.0, 3), "must be a positive number; found -1.0"),
        (lambda: implicit(1.0, 0), "the iterations of an implicit gradient must be 1 or more; found 0"),
        (lambda: implicit(1.0, 3, -1.0), r"the damping of an implicit gradient must be 0 \(none\) or a positive number; found -1.0"),
        (lambda: Descent(-1.0), "the inner rate must be a positive number; found -1.0"),
        (lambda: Descent(None), "the inner rate must be a positive number; found None"),  # type: ignore[arg-type]
        (lambda: Descent(0.1, clip=-1.0), r"clip must be 0 \(no clipping\) or a positive number; found -1.0"),
        (lambda: InnerLoop(1.5), "inner steps must be a whole number, 0 or more; found 1.5"),  # type: ignore[arg-type]
        (lambda: InnerLoop(1, mode="flat"), "the mode of an inner loop is a function, such as .*; found 'flat'"),  # type: ignore[arg-type]
        (lambda: with_steps(made("maml"), 1.5), "the number of steps must be a whole number, 0 or more; found 1.5"),  # type: ignore[arg-type]
    ):
        with pytest.raises(RecipeError, match=message):
            wrong()


@pytest.mark.parametrize(
    ("name", "settings"), [("imaml", {"inner_lr": 5.0}), ("maml", {"inner_lr": 1e9}), ("meta_sgd", {"lowest": 1e9, "highest": 1e9})]
)
def test_steps_that_diverge_when_answering(name: str, settings: dict[str, Any]) -> None:
    given = batch()
    assert isinstance(given.support_x, Tensor)
    with pytest.raises(DataError, match=r"the inner loop of task \d of the batch diverged") as told:
        made(name, **settings).eval().adapt(1e3 * given.support_x, given.support_y, way=3)
    assert told.value.task is not None
