from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data.arrays import ArrayDataset
from kshot.episodes.batch import gather_inputs
from kshot.episodes.shape import EpisodeShape
from kshot.learners.learner import Learner
from kshot.results.show.plot_embedding import embed_classes, plot_embedding, principal_plane

pytestmark = pytest.mark.slow

Make = Callable[..., Any]


def test_a_plane_worked_by_hand() -> None:
    # Spread 4 along the third axis, 2 along the first, 0 along the second: 16 + 16 + 4 + 4 of squares about the middle (1, 1, 1).
    features = torch.tensor([[1.0, 1, 5], [1, 1, -3], [3, 1, 1], [-1, 1, 1]], dtype=torch.float64)
    places, share = principal_plane(features)
    torch.testing.assert_close(places, torch.tensor([[4.0, 0], [-4, 0], [0, 2], [0, -2]], dtype=torch.float64))
    assert share == pytest.approx(1.0)


def test_the_plane_holds_the_largest_spread_and_a_fixed_sign() -> None:
    features = torch.randn(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7.0)
    places, share = principal_plane(features)
    centred = features - features.mean(0)
    values, vectors = np.linalg.eigh((centred.T @ centred).numpy())  # another way to the same
    assert share == pytest.approx(values[-2:].sum() / values.sum())
    for column, vector in enumerate(vectors[:, [-1, -2]].T):
        vector = vector * np.sign(vector[np.abs(vector).argmax()])
        np.testing.assert_allclose(places[:, column].numpy(), centred.numpy() @ vector, atol=1e-9)


@pytest.mark.parametrize("features", [torch.ones(3, 4), torch.ones(1, 4), torch.tensor([[0.0, 1], [2, 3]])])
def test_items_that_hardly_differ_have_a_plane_too(features: torch.Tensor) -> None:
    places, share = principal_plane(features.double())
    assert places.shape == (len(features), 2)
    assert bool(places.isfinite().all())
    assert share == pytest.approx(1.0)


@pytest.mark.parametrize("augment", ["none", "quarter_turns"])
def test_the_items_of_ten_classes_are_encoded(pictures: Make, protonet: Make, draw: Make, augment: str) -> None:
    dataset, learner = pictures(), protonet(norm=True).train()
    episodes = draw(dataset, EpisodeShape(4, 1, 3, augment=augment))
    embedding = embed_classes(learner, episodes)
    assert embedding is not None
    assert all(module.training for module in learner.modules())
    assert len(embedding.names) == len(set(embedding.names)) == 10
    assert embedding.features.shape == (40, 16)
    for label, name in enumerate(embedding.names):
        own = embedding.items[embedding.y == label]
        assert len(set(own.tolist())) == 4
        assert np.isin(own, dataset.index.items_of(name)).all()
    with torch.no_grad():
        direct = learner.eval().encode(gather_inputs(dataset, embedding.items, embedding.changes, augment, torch.device("cpu")))
    torch.testing.assert_close(embedding.features, direct.double())


def test_no_more_classes_than_there_are(pictures: Make, protonet: Make, draw: Make) -> None:
    embedding = embed_classes(protonet(), draw(pictures(), EpisodeShape(3, 1, 2), 1))
    assert embedding is not None
    assert len(embedding.names) == 3


def test_a_learner_without_a_fixed_embedding_has_no_map(pictures: Make, raw_pairs: Learner, protonet: Make, draw: Make) -> None:
    episodes = draw(pictures(), EpisodeShape(3, 1, 2))
    assert embed_classes(raw_pairs, episodes) is None
    broken = protonet()
    broken.backbone[1].bias.data[0] = float("nan")
    assert embed_classes(broken, episodes) is None


@pytest.mark.parametrize("kind", ["pictures", "vectors"])
def test_a_map_is_drawn(pictures: Make, protonet: Make, draw: Make, tmp_path: Path, kind: str) -> None:
    vectors = ArrayDataset(torch.rand(96, 64), [f"$狐{number % 8}" for number in range(96)])
    episodes = draw(pictures() if kind == "pictures" else vectors, EpisodeShape(3, 1, 2))
    embedding = embed_classes(protonet(), episodes)
    assert embedding is not None
    path = plot_embedding(embedding, episodes, tmp_path / "map.png")
    with Image.open(path) as image:
        assert 700 < image.width < 1000  # the key is as wide as its names
        assert ((np.asarray(image.convert("RGB")) == (0x25, 0x63, 0xA8)).all(2)).sum() > 100  # the marks of the first class
