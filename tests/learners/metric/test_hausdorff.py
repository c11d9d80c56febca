"""The modified Hausdorff distance: against all pairs of pixels, and against the number published for Lake's challenge."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError
from kshot.learners.contract.check import check_learner, made_batch
from kshot.learners.metric.hausdorff import ModifiedHausdorff
from kshot.results.score.evaluate import evaluate
from kshot.workflows.lake_challenge import lake_episodes


def slow_distance(one: Tensor, other: Tensor) -> float:
    """d(A, B) over all pairs of ink pixels."""
    a, b = (drawing[0].gt(0.5).nonzero().double() for drawing in (one, other))
    distances = torch.cdist(a - a.mean(0), b - b.mean(0), compute_mode="donot_use_mm_for_euclid_dist")
    return max(float(distances.amin(1).mean()), float(distances.amin(0).mean()))


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.floats(0.05, 0.9))
def test_it_is_the_distance_over_all_pairs_of_pixels(seed: int, height: int, width: int, ink: float) -> None:
    torch.manual_seed(seed)
    drawings = (torch.rand(5, 1, height, width) < ink).float()
    drawings[:, 0, 0, 0] = 1
    learner = ModifiedHausdorff().eval()
    task = learner.adapt(drawings[None, :3], torch.tensor([[0, 1, 2]]))
    expected = [[-slow_distance(query, support) for support in drawings[:3]] for query in drawings[3:]]
    torch.testing.assert_close(learner.predict(task, drawings[None, 3:]), torch.tensor([expected]))


def test_place_does_not_matter_and_the_nearest_drawing_of_a_class_counts() -> None:
    line, dot = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    line[0, 1, 1:4] = 1
    dot[0, 2, 2] = 1
    learner = ModifiedHausdorff().eval()
    task = learner.adapt(torch.stack([dot, line, dot])[None], torch.tensor([[0, 0, 1]]))
    assert learner.predict(task, line.roll((4, 3), (1, 2))[None, None])[0, 0].tolist() == pytest.approx([0, -2 / 3])


def test_a_drawing_without_ink_is_infinitely_far_and_a_class_without_drawings_too() -> None:
    ink, empty = torch.ones(1, 4, 4), torch.zeros(1, 4, 4)
    learner = ModifiedHausdorff().eval()
    task = learner.adapt(torch.stack([empty, ink])[None], torch.tensor([[0, 1]]), way=3)
    assert learner.predict(task, ink[None, None])[0, 0].tolist() == [-math.inf, 0, -math.inf]


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    drawn = made_batch()
    support_x, query_x = ((x[..., 8:20, 8:20] > 0.8).float() for x in (drawn.support_x, drawn.query_x))  # type: ignore[index, operator]
    batch = replace(drawn, support_x=support_x, query_x=query_x)
    assert "a batch of tasks equals single tasks" in check_learner(ModifiedHausdorff(), batch)


def test_what_is_no_drawing_is_refused() -> None:
    with pytest.raises(DataError, match=r"compares drawings \(M, 1, H, W\); found \(2, 3, 4, 4\)"):
        ModifiedHausdorff().encode(torch.zeros(2, 3, 4, 4))
    with pytest.raises(DataError, match="found a mapping of a"):
        ModifiedHausdorff().encode({"a": torch.zeros(2, 1)})
    with pytest.raises(RecipeError, match="classification"):
        ModifiedHausdorff(Regression())


@pytest.mark.slow
def test_lakes_challenge_gives_the_published_error() -> None:
    """38.8 % (155 of 400 trials): runs, drawings and answers are the published ones."""
    results = evaluate(ModifiedHausdorff(), lake_episodes(Omniglot(size=105, rotations="none")))
    assert round(float((1 - results.scores).sum()) * 20) == 155
