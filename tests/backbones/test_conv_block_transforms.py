"""The blocks under the transforms of `torch.func`: gradients over `vmap`, `vmap` over gradients, tangents of gradients, and nested."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, jvp, vjp, vmap

from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv_block import ConvBlock
from kshot.backbones.kernels.block_operator import block_with_batch_statistics, block_with_given_statistics
from kshot.backbones.kernels.folded_block import folded_block
from kshot.backbones.kernels.norm_pool import Statistics
from kshot.backbones.kernels.strided_operator import strided_block

B, M, WIDTH = 3, 4, 3
Parameters = dict[str, Tensor]
Block = Callable[..., Tensor]

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # of PyTorch's own forward mode


pytestmark = pytest.mark.usefixtures("many_or_few_images")


def written_out(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    z = F.conv2d(x, weight, bias, padding=1)
    mean = z.mean((0, 2, 3), keepdim=True)
    var = (z - mean).square().mean((0, 2, 3), keepdim=True)
    return F.relu(F.max_pool2d((z - mean) / (var + 1e-5).sqrt() * gamma[:, None, None] + beta[:, None, None], 2))


def ours(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return block_with_batch_statistics(x, weight, bias, gamma, beta)[0]


def ours_given(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    statistics = Statistics(torch.linspace(-1, 1, WIDTH).double(), torch.linspace(0.5, 2, WIDTH).double())
    return block_with_given_statistics(x, weight, bias, gamma, beta, statistics)


def written_out_given(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    mean, var = torch.linspace(-1, 1, WIDTH).double(), torch.linspace(0.5, 2, WIDTH).double()
    z = F.conv2d(x, weight, bias, padding=1) - mean[:, None, None]
    return F.relu(F.max_pool2d(z / (var + 1e-5).sqrt()[:, None, None] * gamma[:, None, None] + beta[:, None, None], 2))


def ours_strided(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return strided_block(x, weight, bias, gamma, beta)[0]


def written_out_strided(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    z = F.conv2d(x, weight, bias, padding=1, stride=2)
    mean = z.mean((0, 2, 3), keepdim=True)
    var = (z - mean).square().mean((0, 2, 3), keepdim=True)
    return F.relu((z - mean) / (var + 1e-5).sqrt() * gamma[:, None, None] + beta[:, None, None])


PAIRS = [
    pytest.param(ours, written_out, id="batch"),
    pytest.param(ours_given, written_out_given, id="given"),
    pytest.param(ours_strided, written_out_strided, id="strided"),
]


def network(block: Block, values: Parameters, x: Tensor) -> Tensor:
    """Two blocks and a linear head."""
    names = ("weight", "bias", "gamma", "beta")
    for layer in (1, 2):
        x = block(x, *(values[f"{name}{layer}"] for name in names))
    return x.flatten(1)[:, : WIDTH * 4] @ values["head"].T


def parameters(*lead: int, seed: int = 0) -> Parameters:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*lead, *shape, generator=generator, dtype=torch.float64)

    values = {}
    for layer, C in ((1, 1), (2, WIDTH)):
        values |= {f"weight{layer}": normal(WIDTH, C, 3, 3), f"bias{layer}": normal(WIDTH)}
        values |= {f"gamma{layer}": 1 + normal(WIDTH), f"beta{layer}": normal(WIDTH)}
    return {**values, "head": normal(2, WIDTH * 4)}


def tasks() -> tuple[Tensor, Tensor, Tensor]:
    """Support and query images (B, M, 1, 9, 8) and labels (M,)."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(2, B, M, 1, 9, 8, generator=generator, dtype=torch.float64)
    return images[0], images[1], torch.arange(M) % 2


def task_loss(block: Block, values: Parameters, support: Tensor, query: Tensor, y: Tensor, steps: int = 2) -> Tensor:
    """The query loss after gradient steps on the support loss."""

    def loss(values: Parameters, x: Tensor) -> Tensor:
        return F.cross_entropy(network(block, values, x), y)

    for _ in range(steps):
        gradients = grad(loss)(values, support)
        values = {name: value - 0.1 * gradients[name] for name, value in values.items()}
    return loss(values, query)


def assert_same(found: Parameters, expected: Parameters) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.slow
@pytest.mark.parametrize(("block", "exact"), PAIRS)
@pytest.mark.parametrize("shared", [True, False])
def test_vmap_over_gradients_equals_the_loop_over_tasks(block: Block, exact: Block, shared: bool) -> None:
    support, query, y = tasks()
    values = parameters() if shared else parameters(B)
    together = vmap(grad(lambda v, s, q: task_loss(block, v, s, q, y)), (None if shared else 0, 0, 0))(values, support, query)
    for b in range(B):
        own = values if shared else {name: value[b] for name, value in values.items()}
        expected = grad(lambda v, b=b: task_loss(exact, v, support[b], query[b], y))(own)
        assert_same({name: value[b] for name, value in together.items()}, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("block", "exact"), PAIRS)
@pytest.mark.parametrize("by_backward", [True, False])
def test_a_gradient_over_vmap_is_exact_to_second_order(block: Block, exact: Block, by_backward: bool) -> None:
    # Native batch normalisation is wrong here on PyTorch 2.13 (CPU): by several per cent after a few inner steps.
    support, query, y = tasks()
    values = {name: value.requires_grad_() for name, value in parameters().items()}

    def meta_loss(values: Parameters) -> Tensor:
        return vmap(lambda s, q: task_loss(block, values, s, q, y, 3))(support, query).mean()

    if by_backward:
        found = dict(zip(values, torch.autograd.grad(meta_loss(values), list(values.values())), strict=True))
    else:
        found = grad(meta_loss)(values)
    expected = grad(lambda v: torch.stack([task_loss(exact, v, support[b], query[b], y, 3) for b in range(B)]).mean())(values)
    assert_same({n: v.detach() for n, v in found.items()}, {n: v.detach() for n, v in expected.items()})


@pytest.mark.slow
@pytest.mark.parametrize(("block", "exact"), PAIRS)
def test_the_tangent_of_a_gradient_is_the_hessian_times_it(block: Block, exact: Block) -> None:
    support, query, y = tasks()
    values, direction = parameters(), parameters(seed=1)

    def gradient(of: Block, values: Parameters) -> Parameters:
        return grad(lambda v: task_loss(of, v, support[0], query[0], y, 0))(values)

    forward_over_reverse = jvp(lambda v: gradient(block, v), (values,), (direction,))[1]
    expected = vjp(lambda v: gradient(exact, v), values)[1](direction)[0]  # a Hessian is symmetric
    assert_same(forward_over_reverse, expected)
    reverse_over_forward = grad(lambda v: jvp(lambda w: task_loss(block, w, support[0], query[0], y, 0), (v,), (direction,))[1])(values)
    assert_same(reverse_over_forward, expected)
    batched = vmap(lambda s: jvp(lambda v: grad(lambda w: task_loss(block, w, s, s, y, 0))(v), (values,), (direction,))[1])(support)
    for b in range(B):
        s = support[b]
        one = vjp(lambda v, s=s: grad(lambda w: task_loss(exact, w, s, s, y, 0))(v), values)[1](direction)[0]
        assert_same({name: value[b] for name, value in batched.items()}, one)


@pytest.mark.slow
@pytest.mark.parametrize(("block", "exact"), PAIRS)
def test_gradients_of_the_images_alone_and_batched(block: Block, exact: Block) -> None:
    support, _, _ = tasks()
    values = parameters()

    def score(of: Block, x: Tensor) -> Tensor:
        return network(of, values, x).pow(3).sum()

    found, expected = (vmap(grad(lambda x, of=of: grad(lambda z: score(of, z))(x).pow(2).sum()))(support) for of in (block, exact))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize(("block", "exact"), PAIRS)
def test_vmap_within_vmap(block: Block, exact: Block) -> None:
    support, _, _ = tasks()
    values = parameters(2)
    x = torch.stack([support, support.flip(0)])

    def loss(of: Block, values: Parameters, x: Tensor) -> Tensor:
        return network(of, values, x).pow(2).sum()

    nested = vmap(vmap(grad(lambda v, x: loss(block, v, x)), (None, 0)))(values, x)
    for a in range(2):
        for b in range(B):
            expected = grad(lambda v, a=a, b=b: loss(exact, v, x[a, b]))({name: value[a] for name, value in values.items()})
            assert_same({name: value[a, b] for name, value in nested.items()}, expected)


def test_without_pooling_too() -> None:
    support, _, _ = tasks()
    values = parameters(B)

    def gradient(weight: Tensor, gamma: Tensor, x: Tensor) -> Tensor:
        beta = torch.zeros_like(gamma)
        return grad(lambda w: block_with_batch_statistics(x, w, beta, gamma, beta, pool=False)[0].pow(3).sum())(weight)

    for weight, x in ((values["weight1"], support), (values["weight2"], support.expand(-1, -1, WIDTH, -1, -1))):
        together = vmap(gradient)(weight, values["gamma1"], x)
        torch.testing.assert_close(together, torch.stack([gradient(weight[b], values["gamma1"][b], x[b]) for b in range(B)]))


def test_a_module_with_fast_weights_in_training_without_running_statistics() -> None:
    support, query, y = tasks()
    block = ConvBlock(1, WIDTH).double()
    block.norm.track_running_stats = False
    block.norm.running_mean = block.norm.running_var = block.norm.num_batches_tracked = None
    values = dict(block.named_parameters())
    head = torch.randn(2, WIDTH * 16, dtype=torch.float64)

    def loss(values: Parameters, x: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(block, values, (x,)).flatten(1) @ head.T, y)

    def after_a_step(values: Parameters, s: Tensor, q: Tensor) -> Tensor:
        gradients = grad(loss)(values, s)
        return loss({name: value - gradients[name] for name, value in values.items()}, q)

    found = grad(lambda v: vmap(lambda s, q: after_a_step(v, s, q))(support, query).sum())(values)
    expected = grad(lambda v: torch.stack([after_a_step(v, support[b], query[b]) for b in range(B)]).sum())(values)
    assert_same(found, expected)


def test_running_statistics_of_many_tasks_at_once() -> None:
    support, _, _ = tasks()
    block = ConvBlock(1, WIDTH).double()
    state = {name: value.detach() for name, value in (*block.named_parameters(), *block.named_buffers())}
    copies = {name: torch.stack([value] * B) for name, value in state.items()}
    vmap(lambda values, x: functional_call(block, values, (x,)))(copies, support)
    for b in range(B):
        own = {name: value.clone() for name, value in state.items()}
        functional_call(block, own, (support[b],))
        for name in ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked"):
            torch.testing.assert_close(copies[name][b], own[name])


def test_conv4_in_evaluation_over_copies_of_one_batch_norm() -> None:
    network = Conv4(width=4).double().eval()
    x = torch.rand(B, 2, 1, 28, 28, dtype=torch.float64)
    values = dict(network.named_parameters())
    together = vmap(grad(lambda v, items: functional_call(network, v, (items,)).pow(2).sum()), (None, 0))(values, x)
    for b in range(B):
        alone = grad(lambda v, b=b: functional_call(network, v, (x[b],)).pow(2).sum())(values)
        assert_same({name: value[b] for name, value in together.items()}, alone)


@pytest.mark.parametrize("pool", [True, False])
def test_without_gradients_the_numbers_are_the_same_bits(pool: bool) -> None:
    """Where nothing but numbers is asked for, the operator with derivatives is left out; also under `vmap`, where it stays."""
    made = torch.Generator().manual_seed(3)
    x = torch.randn(M, 2, 8, 8, generator=made).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(WIDTH, 2, 3, 3, generator=made), torch.randn(WIDTH, generator=made)
    many = torch.stack([weight, 2 * weight])
    with torch.no_grad():
        alone = folded_block(x, weight, bias, pool=pool)
        each = vmap(lambda w: folded_block(x, w, bias, pool=pool))(many)
    assert torch.equal(alone, folded_block(x, weight, bias, pool=pool))
    assert torch.equal(each[1], folded_block(x, 2 * weight, bias, pool=pool))
