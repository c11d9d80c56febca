"""Objectives: by hand, against stock modules, and as functions of their number."""

import builtins
from typing import Any

import pytest
import torch
from torch import nn

from kshot.errors import SetupError
from kshot.meta_train.objectives.labelled_pictures import PICTURES, digits
from kshot.meta_train.objectives.networks import Network, Networks
from kshot.meta_train.objectives.quadratics import Quadratic, Quadratics
from kshot.meta_train.objectives.tables import ROWS, Tables


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve classes of 21 pictures of 16 × 16, the same quickly for every test."""
    pool = torch.randint(0, 256, (12, 21, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setitem(PICTURES, "dots", (lambda part: pool, 16))


def test_a_quadratic_by_hand() -> None:
    """W = (1 2; 3 4), y = (1, 0), θ = (1, 1): W θ - y = (2, 7), and 4 + 49 = 53."""
    one = Quadratic(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[1.0, 0.0]]), {})
    assert one.full_loss({"theta": torch.ones(1, 2)}).tolist() == [53.0]
    assert one.loss({"theta": torch.ones(1, 2)}, 9).tolist() == [53.0]


KINDS = [Quadratics(), Networks("dots", "mlp", (8, 6)), Networks("dots", "conv4", (4, 4, 4, 4)), Tables(6, 3), Tables(4, 0, (5,))]


@pytest.mark.parametrize("kind", KINDS, ids=["quadratics", "mlp", "conv4", "tables", "targets"])
def test_a_function_is_the_same_in_any_batch(pictures: None, kind: Any) -> None:
    together, alone = kind.draw(3, [5, 6, 9], "train"), kind.draw(3, [9], "train")
    for name, value in together.start.items():
        assert torch.equal(value[2], alone.start[name][0])
    for step in (0, 7):
        torch.testing.assert_close(together.loss(together.start, step)[2:], alone.loss(alone.start, step))
    torch.testing.assert_close(together.full_loss(together.start)[2:], alone.full_loss(alone.start))
    others = [kind.draw(4, [9], "train"), kind.draw(3, [8], "train"), kind.draw(3, [9], "test")]
    assert all(not torch.equal(other.start[name], alone.start[name]) for other in others for name in list(alone.start)[:1])


@pytest.mark.parametrize("kind", KINDS[1:], ids=["mlp", "conv4", "tables", "targets"])
def test_batches_differ_between_steps_and_average_to_the_whole(pictures: None, kind: Networks) -> None:
    drawn = kind.draw(0, [1], "val")
    losses = torch.stack([drawn.loss(drawn.start, step)[0] for step in range(60)])
    assert len(set(losses.tolist())) == 60
    if not drawn.convolutional:  # whose loss depends on the other pictures of a batch
        assert abs(losses.mean() - drawn.full_loss(drawn.start)[0]) < 4 * losses.std() / 60**0.5


@pytest.mark.parametrize(("number", "activation"), [(3, nn.ReLU), (4, nn.Tanh), (5, nn.Sigmoid)])
def test_an_mlp_is_the_stock_network(pictures: None, number: int, activation: type[nn.Module]) -> None:
    drawn = Networks("dots", "mlp", (8, 6)).draw(0, [number], "train")
    layers = [nn.Linear(256, 8), activation(), nn.Linear(8, 6), activation(), nn.Linear(6, 10)]
    network = nn.Sequential(nn.Flatten(), *layers)
    with torch.no_grad():
        for layer, module in enumerate(layers[::2]):
            module.weight.copy_(drawn.start[f"w{layer}"][0].T)
            module.bias.copy_(drawn.start[f"b{layer}"][0])
            assert bool((module.weight.abs() <= module.in_features**-0.5).all())
    torch.testing.assert_close(drawn.full_loss(drawn.start)[0], stock_loss(network, drawn))


def test_a_conv4_is_the_stock_network(pictures: None) -> None:
    """16 → 8 → 4 → 2 → 1 pixels."""
    drawn = Networks("dots", "conv4", (4, 5, 6, 7)).draw(0, [2], "train")
    blocks, channels = [], 1
    for layer, out in enumerate((4, 5, 6, 7)):
        conv, norm = nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)
        with torch.no_grad():
            conv.weight.copy_(drawn.start[f"w{layer}"][0])
        blocks += [conv, norm, nn.ReLU(), nn.MaxPool2d(2)]
        channels = out
    last = nn.Linear(7, 10)
    with torch.no_grad():
        last.weight.copy_(drawn.start["w"][0].T)
        last.bias.copy_(drawn.start["b"][0])
    torch.testing.assert_close(drawn.full_loss(drawn.start)[0], stock_loss(nn.Sequential(*blocks, nn.Flatten(), last), drawn))


def stock_loss(network: nn.Module, drawn: Network) -> torch.Tensor:
    return nn.functional.cross_entropy(network.train()(drawn.x[0]), drawn.y[0]).detach()


def test_ten_classes_of_twenty_pictures(pictures: None) -> None:
    drawn = Networks("dots", "mlp").draw(0, [0, 1], "train")
    assert drawn.x.shape == (2, 200, 1, 16, 16)
    assert [torch.bincount(y).tolist() for y in drawn.y] == [[20] * 10] * 2
    assert float(drawn.x.max()) <= 1.0


@pytest.mark.parametrize(("columns", "classes"), [(30, 2), (16, 3), (10, 0), (2, 10)])
def test_tables_are_standardised_and_hold_their_classes(columns: int, classes: int) -> None:
    drawn = Tables(columns, classes).draw(0, range(40), "train")
    assert drawn.x.shape == (40, ROWS, columns)
    assert bool(torch.isfinite(drawn.x).all())
    assert float(drawn.x.mean(1).abs().max()) < 1e-5
    assert float(drawn.x.std(1, correction=0).max()) < 1 + 1e-5
    if classes:
        assert drawn.y.unique().tolist() == list(range(classes))
        assert int(torch.stack([torch.bincount(y, minlength=classes) for y in drawn.y]).min()) >= ROWS // classes - classes
    else:
        assert float((drawn.y.std(1, correction=0) - 1).abs().max()) < 1e-5


def test_a_tenth_of_the_columns_is_correlated() -> None:
    """As in a real table: columns that are mixtures of few. Independent columns of 200 rows correlate by less than 0.3."""
    x = Tables(30, 2).draw(0, range(20), "train").x
    correlation = (x.transpose(1, 2) @ x / ROWS).abs() - torch.eye(30)
    assert float((correlation > 0.3).float().mean()) > 0.1


def test_the_loss_of_a_real_target_is_the_squared_error_of_the_stock_network() -> None:
    drawn = Tables(3, 0, (4,)).draw(0, [1], "val")  # number 1: tanh
    first, last = nn.Linear(3, 4), nn.Linear(4, 1)
    with torch.no_grad():
        for layer, module in enumerate((first, last)):
            module.weight.copy_(drawn.start[f"w{layer}"][0].T)
            module.bias.copy_(drawn.start[f"b{layer}"][0])
        expected = nn.functional.mse_loss(nn.Sequential(first, nn.Tanh(), last)(drawn.x[0]).squeeze(1), drawn.y[0])
    torch.testing.assert_close(drawn.full_loss(drawn.start)[0], expected)


def test_digits_without_scikit_learn_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def missing(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    digits.cache_clear()
    with pytest.raises(SetupError, match=r"pip install scikit-learn.*leave the objectives of digits out"):
        Networks("digits", "mlp").draw(0, [0], "train")


def test_the_parts_of_the_digits_share_no_picture() -> None:
    pytest.importorskip("sklearn")
    digits.cache_clear()
    train, val, test = (digits(part) for part in ("train", "val", "test"))  # type: ignore[arg-type]
    assert [len(part) for part in (train, val, test)] == [10, 10, 10]
    assert (train.shape[1], val.shape[1], test.shape[1]) == (100, 30, 40)
    assert int(train.max()) == 255
