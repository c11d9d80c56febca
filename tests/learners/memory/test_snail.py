"""SNAIL: blocks by hand, causality, one pass against whole sequences, gradients, and bad input."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases.batches import logits_of, query_loss, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import RecipeError
from kshot.learners.contract.check import check_learner
from kshot.learners.memory.causal_blocks import AttentionBlock, DenseBlock, Memory, TCBlock
from kshot.learners.memory.snail import SNAIL, ReadSupport, reading_order
from kshot.learners.memory.turning import turn

batch_of = partial(unbalanced_batch, shape=(4,), N=3, S=7, Q=4)


def learner_of(*, slots: int = 4, length: int = 8, features: int = 4, turned: bool = False, backbone: nn.Module | None = None) -> SNAIL:
    torch.manual_seed(0)
    form = {"features": features, "slots": slots, "length": length, "turned": turned}
    small = SNAIL(backbone or nn.Identity(), **form, filters=3, keys=(4, 6, 8))
    return small.double().eval()


def sequence(S: int, C: int, B: int = 2) -> Tensor:
    return torch.randn(B, S, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


# By hand.


def test_a_dense_block_by_hand() -> None:
    # C = D = 1, R = 2: xf_t = 1·x_t + 10·x_{t-2} + 0.5, xg_t = 2·x_t - 1·x_{t-2} - 0.25.
    block = DenseBlock(1, dilation=2, filters=1).double()
    with torch.no_grad():
        block.now.weight.copy_(torch.tensor([[1.0], [2.0]]))
        block.now.bias.copy_(torch.tensor([0.5, -0.25]))
        block.past.weight.copy_(torch.tensor([[10.0], [-1.0]]))
    x = [0.1, -0.2, 0.3, 0.4]
    y, memory = block.read(torch.tensor(x, dtype=torch.float64).view(1, 4, 1))
    before = [0.0, 0.0, *x]  # x_{t-2}
    gated = [math.tanh(a + 10 * b + 0.5) / (1 + math.exp(-(2 * a - b - 0.25))) for a, b in zip(x, before[:4], strict=True)]
    assert y[0, :, 0].tolist() == pytest.approx(x)
    assert y[0, :, 1].tolist() == pytest.approx(gated)
    # A query at position 4 looks back to x_2 = 0.3.
    assert memory["past"][0].tolist() == pytest.approx([3.0, -0.3])
    query = block.extend(torch.tensor([[[0.7]]], dtype=torch.float64), memory)
    assert query[0, 0].tolist() == pytest.approx([0.7, math.tanh(0.7 + 3 + 0.5) / (1 + math.exp(-(1.4 - 0.3 - 0.25)))])


def test_an_attention_block_by_hand() -> None:
    # C = 1, K = 4, V = 1: keys (x, 0, 0, 0), queries (2, 0, 0, 0), values 10·x + 1; logits 2·x_s / √4 = x_s.
    block = AttentionBlock(1, keys=4, values=1).double()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        block.key.weight[0] = 1.0
        block.query.bias[0] = 2.0
        block.value.weight[0], block.value.bias[0] = 10.0, 1.0
    x = [math.log(1.0), math.log(2.0), math.log(5.0)]
    y, memory = block.read(torch.tensor(x, dtype=torch.float64).view(1, 3, 1))
    value = [10 * number + 1 for number in x]
    expected = [value[0], (value[0] + 2 * value[1]) / 3, (value[0] + 2 * value[1] + 5 * value[2]) / 8]
    assert y[0, :, 0].tolist() == pytest.approx(x)
    assert y[0, :, 1].tolist() == pytest.approx(expected)
    query = block.extend(torch.tensor([[[math.log(8.0)]]], dtype=torch.float64), memory)  # it attends to itself with weight 8 of 16
    assert query[0, 0, 1].item() == pytest.approx((8 * expected[2] + 8 * (10 * math.log(8.0) + 1)) / 16)


@pytest.mark.parametrize(
    ("length", "dilations"), [(2, [2]), (6, [2, 4, 8]), (8, [2, 4, 8]), (9, [2, 4, 8, 16]), (101, [2**i for i in range(1, 8)])]
)
def test_the_dilations_are_the_papers(length: int, dilations: list[int]) -> None:
    block = TCBlock(5, length, filters=3)
    assert [one.dilation for one in block.blocks if isinstance(one, DenseBlock)] == dilations
    assert len(dilations) == math.ceil(math.log2(length))
    assert block.channels == 5 + 3 * len(dilations)


def test_the_network_is_the_papers_for_omniglot() -> None:
    # 20-way 5-shot: T = 101, so ⌈log₂ T⌉ = 7 dense blocks of 128 filters in each TC block.
    learner = SNAIL(nn.Identity())
    widths = [84, 84 + 32, 116 + 7 * 128, 1012 + 128, 1140 + 7 * 128, 2036 + 256]
    blocks = (learner.attention_1, learner.convolution_1, learner.attention_2, learner.convolution_2, learner.attention_3)
    assert [block.channels for block in blocks] == widths[1:]
    assert [(block.key.out_features, block.value.out_features) for block in blocks if isinstance(block, AttentionBlock)] == [
        (64, 32),
        (256, 128),
        (512, 256),
    ]
    assert (learner.embedding.out_features, learner.output.in_features, learner.output.out_features) == (64, 2292, 20)


# An independent version: the whole sequence for each query, by PyTorch's convolution and a masked softmax.


def convolved(block: DenseBlock, x: Tensor) -> Tensor:
    weight = torch.stack([block.past.weight, block.now.weight], -1)  # (2·D, C, 2): the tap of the past first
    padded = F.pad(x.mT, (block.dilation, 0))
    xf, xg = F.conv1d(padded, weight, block.now.bias, dilation=block.dilation).mT.chunk(2, -1)
    return torch.cat([x, torch.tanh(xf) * torch.sigmoid(xg)], -1)


def attended(block: AttentionBlock, x: Tensor) -> Tensor:
    read = F.scaled_dot_product_attention(block.query(x), block.key(x), block.value(x), is_causal=True)
    return torch.cat([x, read], -1)


def whole(block: TCBlock | AttentionBlock, x: Tensor) -> Tensor:
    if isinstance(block, AttentionBlock):
        return attended(block, x)
    for one in block.blocks:
        assert isinstance(one, DenseBlock)
        x = convolved(one, x)
    return x


def slow_logits(learner: SNAIL, batch: EpisodeBatch, way: int) -> Tensor:
    """Read a sequence of S + 1 items for each query, one task at a time."""
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    order = reading_order(batch.support_y.shape[1])
    answers = []
    for support, y, queries in zip(batch.support_x, batch.support_y, batch.query_x, strict=True):
        for query in queries:
            embedded = learner.embedding(torch.cat([support[order], query[None]]))
            labels = torch.zeros(len(support) + 1, learner.slots, dtype=torch.float64)
            labels[torch.arange(len(support)), y[order]] = 1.0
            x = torch.cat([embedded, labels], -1)[None]
            blocks = (learner.attention_1, learner.convolution_1, learner.attention_2, learner.convolution_2, learner.attention_3)
            for block in blocks:
                x = whole(block, x)
            answers.append(learner.output(x[0, -1])[:way])
    return torch.stack(answers).view(*batch.query_y.shape, way)


@pytest.mark.parametrize("S", [3, 7, 20])
def test_one_pass_equals_a_whole_sequence_per_query(S: int) -> None:
    # 20 support items are far more than the 7 for which the dilations are laid out.
    batch, learner = batch_of(S=S), learner_of()
    torch.testing.assert_close(logits_of(learner, batch), slow_logits(learner, batch, 3), rtol=1e-10, atol=1e-10)


# Causality.


@pytest.mark.parametrize("block", [TCBlock(3, 6, 2), AttentionBlock(3, 4, 2), DenseBlock(3, 1, 2)], ids=["TC", "attention", "dense"])
def test_a_block_reads_no_later_position(block: TCBlock | AttentionBlock | DenseBlock) -> None:
    block.double()
    x = sequence(9, 3)
    y, _ = block.read(x)
    changed = x.clone()
    changed[:, 5] += 1.0
    z, _ = block.read(changed)
    torch.testing.assert_close(z[:, :5], y[:, :5], rtol=0, atol=0)
    assert bool((z[:, 5] != y[:, 5]).any())


@pytest.mark.parametrize("block", [TCBlock(3, 6, 2), AttentionBlock(3, 4, 2), DenseBlock(3, 1, 2)], ids=["TC", "attention", "dense"])
@pytest.mark.parametrize("S", [1, 2, 5, 12])
def test_extending_a_sequence_equals_reading_it_longer(block: TCBlock | AttentionBlock | DenseBlock, S: int) -> None:
    block.double()
    x, queries = sequence(S, 3), sequence(4, 3)
    memory: Memory = block.read(x)[1]
    for number in range(4):
        longer, _ = block.read(torch.cat([x, queries[:, number : number + 1]], 1))
        torch.testing.assert_close(block.extend(queries, memory)[:, number], longer[:, -1], rtol=1e-12, atol=1e-12)


# Training.


@pytest.mark.slow
def test_every_parameter_has_its_gradient() -> None:
    torch.manual_seed(0)
    batch = batch_of()
    learner = learner_of(features=3, backbone=MLP(4, (5,), 3)).train()

    def loss() -> float:
        torch.manual_seed(2)  # the order of the support items
        return query_loss(learner, batch)

    torch.manual_seed(2)
    losses = learner.meta_backward(batch, 0.0)
    assert float(losses.mean()) == pytest.approx(loss(), rel=1e-12)
    assert_gradient_of(loss, learner, per_parameter=4, step=1e-5, abs=1e-7)


def test_the_loss_of_an_episode_is_the_mean_over_sequences_that_share_their_support() -> None:
    batch, learner = batch_of(B=1, S=7), learner_of()
    losses = learner.family.loss(slow_logits(learner, batch, 3), batch.query_y)
    apart = [F.cross_entropy(slow_logits(learner, batch, 3)[0, q], batch.query_y[0, q]) for q in range(4)]
    torch.testing.assert_close(losses[0], torch.stack(apart).mean())
    torch.testing.assert_close(learner.family.loss(logits_of(learner, batch), batch.query_y), losses)


def test_training_reads_the_support_in_random_orders_and_evaluation_in_one() -> None:
    batch, learner = batch_of(B=1, S=7), learner_of()
    with torch.no_grad():
        learner.attention_1.key.weight[:, 64:] = 0.0  # a key shows which item it is of, and not its label

    def keys() -> Tensor:
        assert isinstance(batch.support_x, Tensor)
        task: ReadSupport = learner.adapt(learner.encode(batch.support_x[0])[None], batch.support_y, way=3)
        return task.memory["attention_1.keys"][0].detach()

    first, again = keys(), keys()
    assert torch.equal(first, again)
    learner.train()
    torch.manual_seed(0)
    drawn = [keys() for _ in range(3)]
    assert any(not torch.equal(drawn[0], other) for other in drawn[1:])
    for other in drawn:  # the same items in another order
        torch.testing.assert_close(other.sort(0).values, first.sort(0).values)


def test_every_order_of_training_is_equally_likely() -> None:
    learner = learner_of(slots=3).train()
    with torch.no_grad():  # a key is the number of the item
        for parameter in learner.attention_1.parameters():
            nn.init.zeros_(parameter)
        learner.attention_1.key.weight[0, 0] = 1.0
    items = torch.zeros(6000, 3, 64, dtype=torch.float64)
    items[..., 0] = torch.arange(3)
    torch.manual_seed(0)
    keys = learner.adapt(items, torch.arange(3).expand(6000, 3), way=3).memory["attention_1.keys"][..., 0]
    seen, counts = (keys @ torch.tensor([9.0, 3.0, 1.0]).double()).unique(return_counts=True)
    assert len(seen) == 6
    assert bool(((counts - 1000).abs() < 130).all())  # four and a half standard deviations


def test_training_gives_the_classes_any_slots_and_evaluation_their_own() -> None:
    learner = learner_of(slots=4)
    support, y = torch.zeros(6000, 2, 64, dtype=torch.float64), torch.arange(2).expand(6000, 2)
    with torch.no_grad():
        assert torch.equal(learner.adapt(support, y, way=2).slots, y)
        torch.manual_seed(0)
        drawn = learner.train().adapt(support, y, way=2).slots
    pairs, counts = (4 * drawn[:, 0] + drawn[:, 1]).unique(return_counts=True)
    assert pairs.tolist() == [4 * first + second for first in range(4) for second in range(4) if first != second]
    assert bool(((counts - 500).abs() < 100).all())  # four and a half standard deviations


def test_training_turns_the_support_and_the_queries_of_a_task_alike() -> None:
    batch, learner = batch_of(), learner_of(turned=True).train()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    torch.manual_seed(0)
    losses = learner.meta_backward(batch, 0.0)
    torch.manual_seed(0)
    turned = turn(learner.embedding(torch.cat([batch.support_x, batch.query_x], 1)))
    task = learner.adapt(turned[:, : batch.support_y.shape[1]], batch.support_y, way=3)
    logits = learner.predict(task, turned[:, batch.support_y.shape[1] :])
    torch.testing.assert_close(losses, learner.family.loss(logits, batch.query_y).detach())
    assert torch.equal(logits_of(learner.eval(), batch), logits_of(learner, batch))  # evaluation draws nothing


def test_an_answer_is_the_outputs_of_the_slots() -> None:
    # All weights are 0, and the biases of the outputs are 0, 1, 2, 3: a logit is the slot of its class.
    learner = learner_of(slots=4).train()
    with torch.no_grad():
        for parameter in learner.parameters():
            nn.init.zeros_(parameter)
        learner.output.bias.copy_(torch.arange(4))
    batch = batch_of()
    task = learner.adapt(torch.zeros(2, 7, 64, dtype=torch.float64), batch.support_y, way=3)
    logits = learner.predict(task, torch.zeros(2, 5, 64, dtype=torch.float64))
    assert torch.equal(logits, task.slots.unsqueeze(1).expand(2, 5, 3).double())


def test_the_label_of_an_item_is_the_slot_of_its_class() -> None:
    learner = learner_of(slots=4).train()
    with torch.no_grad():  # the first number of a key is the slot, the first number of a value the item
        for parameter in learner.attention_1.parameters():
            nn.init.zeros_(parameter)
        learner.attention_1.key.weight[0, 64:] = torch.arange(4, dtype=torch.float64)
        learner.attention_1.value.weight[0, 0] = 1.0
    y = torch.tensor([[2, 0, 1, 1, 0, 2]])
    items = torch.zeros(1, 6, 64, dtype=torch.float64)
    items[0, :, 0] = torch.arange(6)
    torch.manual_seed(0)
    task = learner.adapt(items, y, way=3)
    read = task.memory["attention_1.values"][0, :, 0].long()  # which item was read at each position
    assert sorted(read.tolist()) == list(range(6))
    assert torch.equal(task.memory["attention_1.keys"][0, :, 0].long(), task.slots[0, y[0, read]])


def test_the_order_of_evaluation_is_a_permutation_that_is_not_the_given_one() -> None:
    assert sorted(reading_order(50).tolist()) == list(range(50))
    assert reading_order(50).tolist() != list(range(50))
    before = torch.get_rng_state()
    reading_order(50)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.slow
def test_it_learns_which_of_two_labels_a_place_had() -> None:
    # Two classes, each at a random place of four numbers. Nothing but the labels of this task says which class a place is.
    torch.manual_seed(0)
    learner = SNAIL(nn.Identity(), features=4, slots=2, length=3, filters=8, keys=(16, 16, 16)).train()
    optimizer = torch.optim.Adam(learner.parameters(), lr=3e-3)

    def tasks(B: int) -> EpisodeBatch:
        places, labels = torch.randn(B, 2, 4), torch.tensor([[0, 1]]).expand(B, 2)
        noisy = places + 0.02 * torch.randn(B, 2, 4)
        return EpisodeBatch(places, labels, noisy, labels, 2, torch.arange(B).numpy())

    for _ in range(250):
        optimizer.zero_grad()
        learner.meta_backward(tasks(32), 0.0)
        optimizer.step()
    test = tasks(500)
    accuracy = float((logits_of(learner.eval(), test).argmax(-1) == test.query_y).float().mean())
    assert accuracy > 0.9


def test_a_training_step_under_autocast_agrees_with_the_full_one() -> None:
    batch = batch_of(dtype=torch.float32)
    learner = learner_of(features=8, backbone=MLP(4, (16,), 8)).float().train()
    torch.manual_seed(2)
    full = learner.meta_backward(batch, 0.0)
    learner.zero_grad()
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16):
        short = learner.meta_backward(batch, 0.0)
    torch.testing.assert_close(short.float(), full, rtol=0.02, atol=0.02)


# The contract.


@pytest.mark.slow
def test_it_keeps_the_contract_where_fewer_classes_than_slots_are_asked_for() -> None:
    learner = learner_of(slots=6, length=4).float()
    held = check_learner(learner, batch_of(B=3, dtype=torch.float32))
    assert "an answer does not depend on the other queries" in held
    assert "an answer does not depend on the order of the support" not in held


def test_the_memory_of_a_query_is_small() -> None:
    learner = SNAIL(nn.Identity())
    task = learner.eval().adapt(torch.zeros(1, 100, 64), torch.arange(20).repeat(5)[None], way=20)
    numbers = sum(value.numel() for value in task.memory.values())
    assert numbers == 100 * (64 + 32 + 256 + 128 + 512 + 256) + 14 * 256  # keys and values per item, one vector per dense block


# Bad input.


def test_more_classes_than_slots_are_refused() -> None:
    batch = batch_of(N=5)
    with pytest.raises(
        RecipeError, match=r"has 4 slots for classes; the tasks have 5 classes\. Ask for at most 4, or train one with learner\.slots=5"
    ):
        logits_of(learner_of(slots=4), batch)


def test_features_of_another_length_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"SNAIL was built with features=4; its backbone gives \(3,\) per item"):
        learner_of(backbone=MLP(4, (), 3)).encode(torch.zeros(2, 4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slots": 1}, "slots must be 2 or more; found 1"),
        ({"length": 1}, "length must be 2 or more; found 1"),
        ({"filters": 0}, "filters must be 1 or more; found 0"),
        ({"features": 2.5}, "features must be a whole number"),
        ({"keys": (64, 256)}, r"three even numbers, the key sizes of the attention blocks; found \(64, 256\)"),
        ({"keys": (64, 255, 512)}, "three even numbers"),
        ({"family": Regression()}, "SNAIL learns classification tasks; found family 'regression'"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        SNAIL(nn.Identity(), **arguments)  # type: ignore[arg-type]  # the mistake under test
