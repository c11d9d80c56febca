"""The picture of predictions against the truth: what is drawn, what is left as it was, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from kshot.backbones.mlp import MLP
from kshot.data.array_tasks import ArrayTasks
from kshot.data.arrays import ArrayDataset
from kshot.data.sinusoids import Sinusoids
from kshot.episodes.family import Regression
from kshot.episodes.shape import EpisodeShape
from kshot.errors import RecipeError
from kshot.figure import COLOURS
from kshot.learners.gradient.reptile import Reptile
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.show.plot_regression import TRUTH, plot_regression

pytestmark = pytest.mark.slow


def waves(episodes: int = 5) -> EpisodeSet:
    data = Sinusoids(train=2, val=2, test=4)
    return EpisodeSet.draw(data, data.split().part("test"), "sinusoids/test", EpisodeShape(1, 5, 20), episodes=episodes)


def learners() -> dict[str, Reptile]:
    torch.manual_seed(0)
    network = MLP(1, (8,), 8)
    return {f"after {steps}": Reptile(network, 8, 1, adapt_steps=steps, inner_lr=0.02, family=Regression()) for steps in (0, 1, 10)}


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def size_and_colours(path: Path) -> tuple[tuple[int, int], set[tuple[int, ...]]]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size, {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}


def test_every_learner_is_drawn_in_its_colour_beside_the_truth(tmp_path: Path) -> None:
    path = tmp_path / "new" / "waves.png"
    assert plot_regression(learners(), waves(), path) == path
    _, colours = size_and_colours(path)
    assert {rgb(TRUTH), *(rgb(colour) for colour in COLOURS[:3])} <= colours


def test_a_row_more_for_each_two_tasks(tmp_path: Path) -> None:
    sizes = [size_and_colours(plot_regression(learners(), waves(3), tmp_path / f"{n}.png", tasks=n))[0] for n in (1, 2, 3, 9)]
    assert sizes[0] == sizes[1]
    assert sizes[2] == sizes[3]  # three are all that there are
    assert sizes[2][1] > 1.5 * sizes[0][1]


def test_a_picture_is_the_same_each_time_and_learners_are_as_before(tmp_path: Path) -> None:
    asked = {name: learner.train() for name, learner in learners().items()}
    before = [value.clone() for learner in asked.values() for value in learner.state_dict().values()]
    first, second = (plot_regression(asked, waves(), tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()
    assert all(learner.training for learner in asked.values())
    after = [value for learner in asked.values() for value in learner.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_one_of_several_targets_of_numbers_without_a_second_dimension(tmp_path: Path) -> None:
    x = np.tile(np.linspace(-1, 1, 12, dtype=np.float32), 3)
    data = ArrayTasks(x[:, None], np.stack([x, x**2], 1), np.repeat(["a", "b", "c"], 12))
    episodes = EpisodeSet.draw(data, data.index, "all", EpisodeShape(1, 4, 6), episodes=3)
    ridge = {"ridge": RidgeNet(nn.Identity(), family=Regression())}
    pictures = [plot_regression(ridge, episodes, tmp_path / f"{target}.png", target=target).read_bytes() for target in (0, 1)]
    assert pictures[0] != pictures[1]
    with pytest.raises(RecipeError, match="items have 2 targets, counted from 0; target 2 was asked for"):
        plot_regression(ridge, episodes, tmp_path / "2.png", target=2)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.png"
    with pytest.raises(RecipeError, match="needs a learner and at least one task; found 0 learners, tasks=4"):
        plot_regression({}, waves(), path)
    with pytest.raises(RecipeError, match="found 3 learners, tasks=0"):
        plot_regression(learners(), waves(), path, tasks=0)
    with pytest.raises(RecipeError, match="the items have real targets, but ProtoNet was built for classification tasks"):
        plot_regression({"prototypes": ProtoNet(nn.Identity())}, waves(), path)
    pictures = ArrayDataset(np.zeros((8, 1), np.float32), list("aaaabbbb"))
    classes = EpisodeSet.draw(pictures, pictures.index, "all", EpisodeShape(2, 1, 1), episodes=1)
    with pytest.raises(RecipeError, match="the items have classes, but Reptile was built for regression tasks"):
        plot_regression(learners(), classes, path)
    wide = ArrayTasks(np.zeros((6, 2), np.float32), np.zeros(6), list("aaabbb"))
    flat = EpisodeSet.draw(wide, wide.index, "all", EpisodeShape(1, 1, 1), episodes=1)
    with pytest.raises(RecipeError, match=r"a curve needs one number per item; found items of shape \(2,\)"):
        plot_regression({"ridge": RidgeNet(nn.Identity(), family=Regression())}, flat, path)
    assert not path.exists()
