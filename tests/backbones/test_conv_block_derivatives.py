"""The block's operator against the stock operations, and its first, second and third derivatives."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from kshot.backbones.conv_block import pixels_last
from kshot.backbones.kernels import folded_block, task_convolution
from kshot.backbones.kernels.block_operator import block_with_batch_statistics, block_with_given_statistics
from kshot.backbones.kernels.norm_pool import Statistics

Parameters = tuple[Tensor, Tensor, Tensor, Tensor]


pytestmark = pytest.mark.usefixtures("many_or_few_images")


def stock(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, *, pool: bool = True, given: Statistics | None = None
) -> Tensor:
    """The block of PyTorch's own operations."""
    mean, var = given or (None, None)
    y = F.batch_norm(F.conv2d(x, weight, bias, padding=1), mean, var, gamma, beta, given is None)
    return F.relu(F.max_pool2d(y, 2) if pool else y)


def written_out(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """The block with normalisation as arithmetic, whose derivatives of any order PyTorch takes."""
    z = F.conv2d(x, weight, bias, padding=1)
    mean = z.mean((0, 2, 3), keepdim=True)
    var = (z - mean).square().mean((0, 2, 3), keepdim=True)
    y = (z - mean) / (var + 1e-5).sqrt() * gamma[:, None, None] + beta[:, None, None]
    return F.relu(F.max_pool2d(y, 2))


def inputs(C: int, size: tuple[int, int] = (5, 7), *, M: int = 3, width: int = 4, seed: int = 0) -> tuple[Tensor, Parameters]:
    """Images and parameters in float64; half of the scales are negative."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    gamma = (0.5 + normal(width).abs()) * torch.tensor([1.0, -1.0]).repeat(width)[:width]
    x = pixels_last(normal(M, C, *size))
    weight, bias, beta = normal(width, C, 3, 3), normal(width), normal(width)
    return x, (weight.requires_grad_(), bias.requires_grad_(), gamma.requires_grad_(), beta.requires_grad_())


def some_statistics(width: int = 4) -> Statistics:
    return Statistics(torch.linspace(-1, 1, width).double(), torch.linspace(0.5, 2, width).double())


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest difference over largest value."""
    return float((found - expected).detach().abs().max() / expected.detach().abs().max().clamp(min=1e-30))


# Values and first derivatives against the stock operations.


@settings(max_examples=25)
@given(
    M=st.integers(1, 4),
    C=st.integers(1, 5),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    width=st.integers(1, 5),
    pool=st.booleans(),
    of_x=st.booleans(),
    seed=st.integers(0, 2**31),
)
@example(M=2, C=1, size=(7, 7), width=3, pool=True, of_x=False, seed=0)  # the last row and column are pooled away but counted
@example(M=2, C=3, size=(7, 7), width=3, pool=True, of_x=True, seed=0)
@example(M=1, C=4, size=(2, 3), width=1, pool=False, of_x=True, seed=0)
def test_values_and_gradients_are_those_of_the_stock_operations(
    M: int, C: int, size: tuple[int, int], width: int, pool: bool, of_x: bool, seed: int
) -> None:
    x, parameters = inputs(C, size, M=M, width=width, seed=seed)
    x.requires_grad_(of_x)
    variables = (x, *parameters)[0 if of_x else 1 :]
    given_statistics = some_statistics(width)
    for ours, theirs in (
        (block_with_batch_statistics(x, *parameters, pool=pool)[0], stock(x, *parameters, pool=pool)),
        (
            block_with_given_statistics(x, *parameters, given_statistics, pool=pool),
            stock(x, *parameters, pool=pool, given=given_statistics),
        ),
    ):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
        g = torch.randn_like(theirs)
        for found, expected in zip(torch.autograd.grad(ours, variables, g), torch.autograd.grad(theirs, variables, g), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_statistics_are_those_of_the_convolution() -> None:
    for C in (1, 4):
        x, parameters = inputs(C)
        _, statistics = block_with_batch_statistics(x, *parameters)
        z = F.conv2d(x, parameters[0], parameters[1], padding=1)
        torch.testing.assert_close(statistics.mean, z.mean((0, 2, 3)).detach())
        torch.testing.assert_close(statistics.var, z.var((0, 2, 3), correction=0).detach())
        assert not statistics.mean.requires_grad
        assert not statistics.var.requires_grad


@pytest.mark.parametrize("C", [1, 4])
def test_the_bias_of_the_convolution_has_exactly_no_gradient_in_training(C: int) -> None:
    x, parameters = inputs(C)
    out, _ = block_with_batch_statistics(x, *parameters)
    (of_bias,) = torch.autograd.grad(out.square().sum(), parameters[1])
    assert torch.equal(of_bias, torch.zeros(4).double())


@pytest.mark.parametrize("C", [1, 4])
@pytest.mark.parametrize("sign", [1, -1])
def test_of_equal_maxima_the_first_is_taken(C: int, sign: int) -> None:
    # A constant image: inside, all four positions of a window hold the same number, bit for bit.
    x, (weight, bias, _, beta) = inputs(C, (8, 8))
    x = pixels_last(torch.ones_like(x)).requires_grad_()
    gamma = sign * torch.ones(4).double()
    ours, theirs = block_with_batch_statistics(x, weight, bias, gamma, beta)[0], stock(x, weight, bias, gamma, beta)
    g = torch.randn_like(theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, x, g), torch.autograd.grad(theirs, x, g))


@pytest.mark.parametrize("C", [1, 4])
def test_float32_is_as_close_to_float64_as_the_stock_operations_are(C: int) -> None:
    x, parameters = inputs(C, (14, 14), M=16, width=16)
    narrow_x, narrow = x.float(), [p.detach().float().requires_grad_() for p in parameters]
    exact = stock(x, *parameters)
    g = torch.randn_like(exact)
    of_exact = torch.autograd.grad(exact, parameters, g)
    faults = []
    for block in (lambda *a: block_with_batch_statistics(*a)[0], stock):
        out = block(narrow_x, *narrow)
        gradients = torch.autograd.grad(out, narrow, g.float())
        assert out.dtype == torch.float32
        faults.append([relative(out.double(), exact)] + [relative(gradients[i].double(), of_exact[i]) for i in (0, 2, 3)])
    for ours, theirs in zip(*faults, strict=True):
        assert ours < 4 * theirs + 1e-6


def test_statistics_of_patches_keep_their_digits_in_float32() -> None:
    # Bright, smooth pictures and a filter of second differences: its variance is a millionth of the patches'.
    ramp = torch.linspace(0, 1, 28)
    x = (10 + ramp[:, None] + ramp + 1e-3 * torch.randn(20, 1, 28, 28, generator=torch.Generator().manual_seed(0)))[:, :, 1:-1, 1:-1]
    weight = torch.tensor([[0.0, 0, 0], [1, -2, 1], [0, 0, 0]])[None, None]
    zero, one = torch.zeros(1), torch.ones(1)
    _, found = block_with_batch_statistics(x.contiguous(), weight, zero, one, zero)
    expected = F.conv2d(x.double(), weight.double(), padding=1).var(correction=0)
    assert relative(found.var.double(), expected) < 1e-6


# Derivatives against finite differences.


@pytest.mark.slow
@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("of_x", [True, False])
@pytest.mark.parametrize("C", [1, 3, 4])
@pytest.mark.parametrize("own_statistics", [True, False])
def test_first_and_second_derivatives_against_finite_differences(C: int, of_x: bool, pool: bool, own_statistics: bool) -> None:
    x, parameters = inputs(C, (3, 5), M=2, width=2)
    variables = ((x.requires_grad_(),) if of_x else ()) + parameters

    def block(*values: Tensor) -> Tensor:
        arguments = values if of_x else (x, *values)
        if own_statistics:
            return block_with_batch_statistics(*arguments, pool=pool)[0]
        return block_with_given_statistics(*arguments, some_statistics(2), pool=pool)

    assert gradcheck(block, variables, fast_mode=True)
    assert gradgradcheck(block, variables, fast_mode=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # of PyTorch's own forward mode
@pytest.mark.parametrize(("C", "of_x"), [(1, False), (4, True)])
def test_tangents_against_finite_differences(C: int, of_x: bool) -> None:
    x, parameters = inputs(C, (3, 5), M=2, width=2)
    variables = ((x.requires_grad_(),) if of_x else ()) + parameters
    for block in (lambda *a: block_with_batch_statistics(*a)[0], lambda *a: block_with_given_statistics(*a, some_statistics(2))):
        assert gradcheck(
            lambda *values, block=block: block(*(values if of_x else (x, *values))),
            variables,
            check_forward_ad=True,
            check_backward_ad=False,
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_tangent_without_gradients() -> None:
    x, parameters = inputs(1)
    statistics = some_statistics()
    tangents = [torch.randn_like(p) for p in parameters]
    with torch.no_grad(), forward_ad.dual_level():
        duals = [forward_ad.make_dual(p.detach(), t) for p, t in zip(parameters, tangents, strict=True)]
        found = [
            forward_ad.unpack_dual(block(duals)).tangent
            for block in (
                lambda d: block_with_given_statistics(x, *d, statistics),
                lambda d: stock(x, *d, given=statistics),
            )
        ]
    torch.testing.assert_close(found[0], found[1])


# Second and third derivatives against arithmetic that PyTorch differentiates.


@pytest.mark.slow
@pytest.mark.parametrize("C", [1, 4])
@pytest.mark.parametrize("of_x", [True, False])
def test_second_and_third_derivatives_are_those_of_the_written_out_block(C: int, of_x: bool) -> None:
    x, parameters = inputs(C, (6, 7), M=4)
    variables = ((x.requires_grad_(),) if of_x else ()) + parameters
    directions = [torch.randn_like(v) for v in variables]
    weight = torch.randn(4, 4, 3, 3, dtype=torch.float64)

    def derivatives(out: Tensor) -> list[tuple[Tensor, ...]]:
        value, found = (out.pow(3) * weight).sum(), []
        for _ in range(3):
            gradients = torch.autograd.grad(value, variables, create_graph=True, materialize_grads=True)
            found.append(gradients)
            value = torch.stack([(g * d).sum() for g, d in zip(gradients, directions, strict=True)]).sum()
        return found

    ours, exact = derivatives(block_with_batch_statistics(x, *parameters)[0]), derivatives(written_out(x, *parameters))
    for order in range(3):
        for found, expected in zip(ours[order], exact[order], strict=True):
            if expected.abs().max() > 1e-8:  # that of the bias is zero but for rounding
                assert relative(found, expected) < 1e-10


@pytest.mark.slow
def test_a_hessian_vector_product_through_two_inner_steps() -> None:
    # Two blocks and a linear head; the meta-loss after two gradient steps, differentiated, along a direction, differentiated again.
    torch.manual_seed(0)
    _, first = inputs(1, width=4)
    _, second = inputs(4, width=4, seed=1)
    head = torch.randn(5, 4 * 4, dtype=torch.float64, requires_grad=True)
    start = [*first, *second, head]
    support, query = pixels_last(torch.randn(5, 1, 9, 8).double()), pixels_last(torch.randn(11, 1, 9, 8).double())
    support_y, query_y = torch.arange(5), torch.arange(11) % 5
    direction = [torch.randn_like(p) for p in start]

    def meta_gradient(block: object) -> tuple[list[Tensor], list[Tensor]]:
        def loss(values: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
            features = block(block(x, *values[:4]), *values[4:8]).flatten(1)  # type: ignore[operator]
            return F.cross_entropy(features @ values[8].T, y)

        values = start
        for _ in range(2):
            steps = torch.autograd.grad(loss(values, support, support_y), values, create_graph=True)
            values = [v - 0.1 * s for v, s in zip(values, steps, strict=True)]
        gradients = torch.autograd.grad(loss(values, query, query_y), start, create_graph=True)
        along = torch.stack([(g * d).sum() for g, d in zip(gradients, direction, strict=True)]).sum()
        return list(gradients), list(torch.autograd.grad(along, start, materialize_grads=True))

    ours, exact = meta_gradient(lambda *a: block_with_batch_statistics(*a)[0]), meta_gradient(written_out)
    for found, expected in zip([*ours[0], *ours[1]], [*exact[0], *exact[1]], strict=True):
        if expected.abs().max() > 1e-8:
            assert relative(found, expected) < 1e-10


# What cannot be.


def test_one_position_in_all_has_no_variance() -> None:
    x, parameters = inputs(1, (1, 1), M=1)
    with pytest.raises(ValueError, match=r"at least 2 positions in all; found x of shape \(1, 1, 1, 1\). Give more images"):
        block_with_batch_statistics(x, *parameters, pool=False)


def test_images_and_weights_of_two_dtypes_are_refused() -> None:
    for C in (1, 4):
        x, parameters = inputs(C)
        with pytest.raises(RuntimeError, match="type"):
            block_with_batch_statistics(x.float(), *parameters)
        with pytest.raises(RuntimeError, match="type"):
            block_with_given_statistics(x.float(), *parameters, some_statistics())


# The gradient of the filters as a product of matrices, which only small sets of images with many channels take.


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("M", "H", "W"), [(1, 1, 1), (5, 3, 3), (5, 7, 6), (3, 14, 14), (9, 14, 14)])
def test_the_gradient_of_the_filters_is_the_library_s_whichever_way_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, M: int, H: int, W: int, wide: bool
) -> None:
    monkeypatch.setattr(task_convolution, "_WIDE", wide)
    generator = torch.Generator().manual_seed(0)
    x, G = (pixels_last(torch.randn(M, 16, H, W, generator=generator, dtype=torch.float64)).requires_grad_() for _ in range(2))
    weight = torch.randn(16, 16, 3, 3, generator=generator, dtype=torch.float64)
    ours = task_convolution.filter_gradients(G, x, weight)
    theirs = task_convolution.convolution_gradients(G, x, weight, (False, True))[1]
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    cotangent = torch.randn_like(theirs)
    for found, expected in zip(torch.autograd.grad(ours, (G, x), cotangent), torch.autograd.grad(theirs, (G, x), cotangent), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_second_derivatives_with_many_channels_and_either_sign_of_the_scale(
    monkeypatch: pytest.MonkeyPatch, sign: float, wide: bool
) -> None:
    monkeypatch.setattr(task_convolution, "_WIDE", wide)
    # 16 channels take the product of matrices; scales of one sign take, or do not take, the way without signs.
    x, parameters = inputs(16, (5, 6), M=3, width=4)
    x.requires_grad_()
    weight, bias, gamma, beta = parameters
    gamma = (sign * gamma.detach().abs()).requires_grad_()
    variables = x, weight, bias, gamma, beta
    directions = [torch.randn_like(v) for v in variables]

    def second(out: Tensor) -> tuple[Tensor, ...]:
        first = torch.autograd.grad(out.pow(3).sum(), variables, create_graph=True, materialize_grads=True)
        return torch.autograd.grad(
            torch.stack([(g * d).sum() for g, d in zip(first, directions, strict=True)]).sum(), variables, materialize_grads=True
        )

    ours = second(block_with_batch_statistics(x, weight, bias, gamma, beta)[0])
    for found, expected in zip(ours, second(written_out(x, weight, bias, gamma, beta)), strict=True):
        if expected.abs().max() > 1e-8:
            assert relative(found, expected) < 1e-10


@pytest.mark.parametrize("size", [(128, 256), (256, 129)])
def test_places_of_maps_of_2_to_the_15_positions_and_of_more(size: tuple[int, int]) -> None:
    x = torch.randn(3, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight, bias = (torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in ((2, 1, 3, 3), (2,)))
    found = folded_block.folded_block(x, weight, bias, pool=True)
    expected = F.relu(F.max_pool2d(F.conv2d(x, weight, bias, padding=1), 2))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    cotangent = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, (weight, bias), cotangent), torch.autograd.grad(expected, (weight, bias), cotangent), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
