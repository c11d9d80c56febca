import pytest
import torch

from kshot.learners.untrained import UNTRAINED


@pytest.mark.parametrize("name", UNTRAINED)
def test_each_answers_as_it_is_made(name: str) -> None:
    learner = UNTRAINED[name]().eval()
    assert learner.training_source == "none"
    assert not list(learner.parameters())
    support = torch.zeros(2, 1, 6, 6)
    support[0, 0, 2], support[1, 0, :, 2] = 1, 1  # a line across, a line down
    features = learner.encode(support)
    assert isinstance(features, torch.Tensor)
    adapted = learner.adapt(features.unsqueeze(0), torch.tensor([[0, 1]]), way=2)
    assert learner.predict(adapted, features.unsqueeze(0)).argmax(-1).tolist() == [[0, 1]]
