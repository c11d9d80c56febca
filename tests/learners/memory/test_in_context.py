"""In-context learning: tokens and answers by hand, whole sequences against one pass, orders, gradients, bad input."""

import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases.batches import logits_of, query_loss, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError
from kshot.learners.contract.check import check_learner
from kshot.learners.memory.in_context import InContext
from kshot.learners.memory.item_readers import TableReader, scaled
from kshot.learners.memory.support_attention import SupportLayer
from kshot.learners.memory.turning import turn

batch_of = partial(unbalanced_batch, shape=(4,), N=3, S=7, Q=4)
READS = pytest.mark.parametrize("reads", ["vectors", "table"])


def learner_of(reads: str = "vectors", *, backbone: nn.Module | None = None, **arguments: Any) -> InContext:
    torch.manual_seed(0)
    known: dict[str, Any] = {"features": 4, "slots": 5, "width": 8, "layers": 2, "members": 3, **arguments}
    return InContext(backbone or nn.Identity(), reads=reads, **known).double().eval()  # type: ignore[arg-type]


def parts(batch: EpisodeBatch) -> tuple[Tensor, Tensor]:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    return batch.support_x, batch.query_x


# By hand.


def test_a_layer_by_hand() -> None:
    # W = 4, one channel per head. The norm of (3, 1, -1, -3) is that over √5. Keys are 0: the mean of the values is read; no network.
    layer = SupportLayer(4).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.before_attention.weight.fill_(1.0)
        layer.key_value.weight[4:] = torch.eye(4)
        layer.out.weight.copy_(2 * torch.eye(4))
        layer.network[2].bias.fill_(0.5)
    x = torch.tensor([[[3.0, 1.0, -1.0, -3.0], [1.0, 3.0, -3.0, -1.0]]], dtype=torch.float64)
    y, known = layer.read(x)
    mean = [4 / 2 / math.sqrt(5), 4 / 2 / math.sqrt(5), -4 / 2 / math.sqrt(5), -4 / 2 / math.sqrt(5)]
    expected = [[value + 2 * one + 0.5 for value, one in zip(row, mean, strict=True)] for row in x[0].tolist()]
    for found, wanted in zip(y[0].tolist(), expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)  # the norm adds 1e-5 to the variance
    query = torch.zeros(1, 1, 4, dtype=torch.float64)
    assert layer.extend(query, known)[0, 0].tolist() == pytest.approx([2 * one + 0.5 for one in mean], abs=1e-5)


def test_an_answer_by_hand() -> None:
    # All weights are 0: each of three support items gets a third. The outputs of the slots are 0, 1, 2, 3, 4.
    learner = learner_of(members=1)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.zero_()
        task = learner.adapt(torch.zeros(1, 3, 8, dtype=torch.float64), torch.tensor([[0, 0, 1]]), way=2)
        found = learner.predict(task, torch.zeros(1, 1, 8, dtype=torch.float64))[0, 0].exp().tolist()
        assert found == pytest.approx([2 / 3, 1 / 3], abs=1e-5)
        learner.output.bias.copy_(torch.arange(5))
        found = learner.predict(task, torch.zeros(1, 1, 8, dtype=torch.float64))[0, 0].exp().tolist()
    odds = [2 * math.exp(int(task.slots[0, 0, 0])), math.exp(int(task.slots[0, 0, 1]))]
    assert found == pytest.approx([one / sum(odds) for one in odds], abs=1e-5)


def test_the_token_of_a_row_by_hand() -> None:
    # Two rows, columns (1, 3), (5, 5), (0, 4): z is -1 and 1, drawn in to 3 asinh(∓1/3), in the two columns that vary, and 0 in the other.
    reader = TableReader(3, 2, 4).double()
    with torch.no_grad():
        for parameter in reader.parameters():
            parameter.zero_()
        reader.places.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]))
        reader.gate.bias.fill_(1.0)  # 1 + G s = 2
    rows = torch.tensor([[[1.0, 5.0, 0.0], [3.0, 5.0, 4.0]]], dtype=torch.float64)
    memory = reader.remember(rows, torch.tensor([[[0, 1]]]), torch.tensor([[[2, 0, 1]]]))
    z = 3 * math.asinh(1 / 3)
    share = 2 / math.sqrt(2)  # F = 2
    first, second = reader.tokens(rows, memory, 1)[0, 0].tolist()
    assert first == pytest.approx([0, -share * z, -share * z, 0])  # column 0 is at place 2, column 2 at place 1
    assert second == pytest.approx([0, share * z, share * z, 0])
    far = reader.tokens(torch.tensor([[[2.0, 99.0, 202.0]]], dtype=torch.float64), memory, 1)[0, 0, 0].tolist()
    assert far == pytest.approx([0, share * 3 * math.asinh(100 / 3), 0, 0])  # a column that was constant says nothing


def test_values_are_standardised_and_far_ones_drawn_in() -> None:
    x = torch.tensor([0.0, 1e-3, 30.0], dtype=torch.float64)
    found = scaled(x, torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)).tolist()
    assert found == pytest.approx([0.0, 1e-3, 3 * math.log(10 + math.sqrt(101))], rel=1e-6)


# An independent version: PyTorch's encoder layer on one sequence of support and query, with a mask.


def slow_logits(learner: InContext, batch: EpisodeBatch) -> Tensor:
    """Answer each query by itself from the whole sequence of S + 1 items, per member, with PyTorch's own encoder layer."""
    (support, queries), N = parts(batch), batch.way
    assert N is not None
    W, S = learner.output.in_features, support.shape[1]
    stock = [nn.TransformerEncoderLayer(W, 4, 2 * W, 0.0, "gelu", batch_first=True, norm_first=True).double() for _ in learner.layers]
    for one, layer in zip(stock, learner.layers, strict=True):
        assert isinstance(layer, SupportLayer)
        one.load_state_dict(
            {
                "self_attn.in_proj_weight": torch.cat([layer.query.weight, layer.key_value.weight]),
                "self_attn.in_proj_bias": torch.cat([layer.query.bias, layer.key_value.bias]),
                "self_attn.out_proj.weight": layer.out.weight,
                "self_attn.out_proj.bias": layer.out.bias,
                "linear1.weight": layer.network[0].weight,  # type: ignore[dict-item]  # a Sequential's parts
                "linear1.bias": layer.network[0].bias,  # type: ignore[dict-item]
                "linear2.weight": layer.network[2].weight,  # type: ignore[dict-item]
                "linear2.bias": layer.network[2].bias,  # type: ignore[dict-item]
                "norm1.weight": layer.before_attention.weight,
                "norm1.bias": layer.before_attention.bias,
                "norm2.weight": layer.before_network.weight,
                "norm2.bias": layer.before_network.bias,
            }
        )
    mask = torch.zeros(S + 1, S + 1, dtype=torch.bool)
    mask[:, S] = True  # nobody reads the query
    task = learner.adapt(learner.encode(support.flatten(0, 1)).unflatten(0, (-1, S)), batch.support_y, way=N)
    size = learner.context(torch.tensor([math.log(S) / 3, math.log(N)], dtype=torch.float64))
    answers = torch.empty(*batch.query_y.shape, N, dtype=torch.float64)
    for b in range(len(support)):
        for q in range(queries.shape[1]):
            of_members = []
            for slots in task.slots[b]:
                x = learner.reader.encode(torch.cat([support[b], queries[b, q : q + 1]]), "InContext")
                x = x + size + learner.labels[torch.cat([slots[batch.support_y[b]], torch.tensor([-1])])]
                for one in stock:
                    x = one(x[None], src_mask=mask)[0]
                x = learner.last(x)
                weights = torch.softmax(learner.offer(x[:S]) @ learner.ask(x[S]) / math.sqrt(W), 0)
                found = torch.stack([weights[batch.support_y[b] == n].sum() for n in range(N)])
                of_members.append((torch.log(found + 1e-6) + learner.output(x[S])[slots]).log_softmax(0))
            answers[b, q] = torch.stack(of_members).mean(0)
    return answers


@pytest.mark.slow
def test_one_pass_equals_a_whole_sequence_per_query() -> None:
    batch, learner = batch_of(), learner_of()
    with torch.no_grad():
        torch.testing.assert_close(logits_of(learner, batch), slow_logits(learner, batch), rtol=1e-9, atol=1e-9)


# Orders.


@READS
def test_the_order_of_the_support_is_of_no_consequence(reads: str) -> None:
    batch, learner = batch_of(S=12), learner_of(reads)
    support, query = parts(batch)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    other = EpisodeBatch(support[:, order], batch.support_y[:, order], query, batch.query_y, 3, batch.numbers)
    torch.testing.assert_close(logits_of(learner, batch), logits_of(learner, other), rtol=1e-9, atol=1e-9)
    single = learner.float()
    one, again = (
        EpisodeBatch(b.support_x.float(), b.support_y, query.float(), b.query_y, 3, b.numbers)  # type: ignore[union-attr]  # tensors
        for b in (batch, other)
    )
    torch.testing.assert_close(logits_of(single, one), logits_of(single, again), rtol=0, atol=1e-6)


@READS
def test_queries_do_not_look_at_each_other(reads: str) -> None:
    batch, learner = batch_of(), learner_of(reads)
    support, query = (learner.encode(x.flatten(0, 1)).unflatten(0, (2, -1)) for x in parts(batch))
    task = learner.adapt(support, batch.support_y, way=3)
    together = learner.predict(task, query)
    for number in range(4):
        torch.testing.assert_close(learner.predict(task, query[:, number : number + 1]), together[:, number : number + 1])


def test_training_numbers_the_classes_and_columns_of_every_task_at_random() -> None:
    learner = learner_of(slots=3, features=2).train()
    torch.manual_seed(0)
    slots, columns = learner._numberings(6000)
    assert slots.shape == (6000, 1, 3)
    for orders, kinds in ((slots, 6), (columns, 2)):
        seen, counts = (orders[:, 0].double() @ torch.tensor([9.0, 3.0, 1.0]).double()[: orders.shape[2]]).unique(return_counts=True)
        assert len(seen) == kinds
        assert bool(((counts - 6000 / kinds).abs() < 200).all())  # five standard deviations


def test_evaluation_numbers_them_from_a_constant_seed() -> None:
    learner, before = learner_of(members=4), torch.get_rng_state()
    slots, columns = learner._numberings(2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(slots, learner._numberings(2)[0])
    assert torch.equal(slots[0], slots[1])
    assert len(slots[0].unique(dim=0)) > 1
    assert columns.sort(-1).values.eq(torch.arange(4)).all()


def test_one_member_for_each_numbering_makes_the_classes_interchangeable() -> None:
    # With two slots and both numberings in equal number, classes that change their names change their logits, and nothing else.
    learner = learner_of(slots=2, features=4)
    learner._numberings = lambda B: (torch.tensor([[[0, 1], [1, 0]]]).expand(B, -1, -1), torch.arange(4).expand(B, 2, 4))  # type: ignore[method-assign]
    batch = batch_of(N=2)
    support, query = parts(batch)
    other = EpisodeBatch(support, 1 - batch.support_y, query, 1 - batch.query_y, 2, batch.numbers)
    torch.testing.assert_close(logits_of(learner, batch), logits_of(learner, other).flip(-1))


# Tables.


def test_units_of_a_table_are_of_no_consequence() -> None:
    batch, learner = batch_of(), learner_of("table")
    support, query = parts(batch)
    unit, shift = torch.tensor([1e3, 0.1, 7.0, 2.0]).double(), torch.tensor([5.0, -2.0, 0.0, 40.0]).double()
    other = EpisodeBatch(support * unit + shift, batch.support_y, query * unit + shift, batch.query_y, 3, batch.numbers)
    torch.testing.assert_close(logits_of(learner, batch), logits_of(learner, other), rtol=1e-8, atol=1e-8)


def test_a_narrower_table_is_one_with_constant_columns() -> None:
    batch, learner = batch_of(), learner_of("table", features=6)
    support, query = parts(batch)
    padded = [F.pad(x, (0, 2), value=0.3) for x in (support, query)]
    padded[1][..., 4:] += torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(0)).double()  # constant over the support set alone
    other = EpisodeBatch(padded[0], batch.support_y, padded[1], batch.query_y, 3, batch.numbers)
    torch.testing.assert_close(logits_of(learner, batch), logits_of(learner, other))


def test_columns_are_told_apart_by_their_places_alone() -> None:
    batch, learner = batch_of(), learner_of("table")
    with torch.no_grad():
        learner.get_parameter("reader.places").copy_(torch.randn(8).expand(4, 8))
    support, query = parts(batch)
    order = [2, 0, 3, 1]
    other = EpisodeBatch(support[..., order], batch.support_y, query[..., order], batch.query_y, 3, batch.numbers)
    torch.testing.assert_close(logits_of(learner, batch), logits_of(learner, other))


def test_a_table_without_any_difference_is_answered() -> None:
    learner = learner_of("table")
    task = learner.adapt(torch.full((1, 3, 4), 0.7).double(), torch.tensor([[0, 1, 2]]), way=3)
    assert bool(learner.predict(task, torch.randn(1, 2, 4).double()).isfinite().all())


# Training.


@READS
@pytest.mark.slow
def test_every_parameter_has_its_gradient(reads: str) -> None:
    torch.manual_seed(0)
    batch = batch_of()
    learner = learner_of(reads, backbone=MLP(4, (5,), 4)).train()

    def loss() -> float:
        torch.manual_seed(2)  # the numbering
        return query_loss(learner, batch)

    torch.manual_seed(2)
    losses = learner.meta_backward(batch, 0.0)
    assert float(losses.mean()) == pytest.approx(loss(), rel=1e-12)
    assert_gradient_of(loss, learner, per_parameter=2, step=1e-5, abs=1e-7)


@pytest.mark.slow
def test_it_learns_which_of_two_labels_a_place_had() -> None:
    # Two classes, each at a random place of four numbers. Nothing but the labels of this task says which class a place is.
    torch.manual_seed(0)
    learner = InContext(nn.Identity(), features=4, slots=2, width=16, layers=2, members=2).train()
    optimizer = torch.optim.Adam(learner.parameters(), lr=3e-3)

    def tasks(B: int) -> EpisodeBatch:
        places, labels = torch.randn(B, 2, 4), torch.tensor([[0, 1]]).expand(B, 2)
        noisy = places + 0.02 * torch.randn(B, 2, 4)
        return EpisodeBatch(places, labels, noisy, labels, 2, torch.arange(B).numpy())

    for _ in range(150):
        optimizer.zero_grad()
        learner.meta_backward(tasks(32), 0.0)
        optimizer.step()
    test = tasks(500)
    accuracy = float((logits_of(learner.eval(), test).argmax(-1) == test.query_y).float().mean())
    assert accuracy > 0.9


# The contract.


@pytest.mark.slow
@READS
def test_it_keeps_the_contract_where_fewer_classes_than_slots_are_asked_for(reads: str) -> None:
    held = check_learner(learner_of(reads).float(), batch_of(B=3, dtype=torch.float32))
    assert "an answer does not depend on the other queries" in held
    assert "an answer does not depend on the order of the support" in held


# Bad input.


def test_more_classes_than_slots_are_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"has 2 slots for classes; the tasks have 3 classes\. Ask for at most 2, or train one with learner\.slots=3"
    ):
        logits_of(learner_of(slots=2), batch_of())


def test_a_wider_table_is_refused() -> None:
    with pytest.raises(DataError, match=r"this InContext reads tables of at most 3 features; found 4\. Choose 3 of them or reduce them"):
        logits_of(learner_of("table", features=3), batch_of())


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"InContext was built with features=4; its backbone gives \(3,\) per item"):
        learner_of(backbone=MLP(4, (), 3)).encode(torch.zeros(2, 4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slots": 1}, "slots must be 2 or more; found 1"),
        ({"layers": 0}, "layers must be 1 or more; found 0"),
        ({"members": 0}, "members must be 1 or more; found 0"),
        ({"features": 2.5}, "features must be a whole number"),
        ({"width": 10}, "width must be a multiple of 4, the number of attention heads; found 10"),
        ({"reads": "tables"}, "reads must be one of 'vectors', 'table'; found 'tables'"),
        ({"reads": "table", "turned": True}, "the columns of a table are not of one kind; give turned=False"),
        ({"family": Regression()}, "InContext learns classification tasks; found family 'regression'"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        InContext(nn.Identity(), **arguments)  # type: ignore[arg-type]  # the mistake under test


def test_training_turns_the_support_and_the_queries_of_a_task_alike() -> None:
    batch, learner = batch_of(), learner_of(turned=True).train()
    support, query = parts(batch)
    torch.manual_seed(1)
    losses = learner.meta_backward(batch, 0.0)
    torch.manual_seed(1)
    turned = turn(learner.encode(torch.cat([support, query], 1).flatten(0, 1)).unflatten(0, (2, -1)))
    task = learner.adapt(turned[:, :7], batch.support_y, way=3)
    logits = learner.predict(task, turned[:, 7:])
    torch.testing.assert_close(losses, learner.family.loss(logits, batch.query_y).detach())
    assert torch.equal(logits_of(learner.eval(), batch), logits_of(learner_of(), batch))  # evaluation draws nothing
