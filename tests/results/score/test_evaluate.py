from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.data.preprocess import Preprocess
from kshot.episodes.batch import gather_batch
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.shape import EpisodeShape
from kshot.errors import EpisodeError, RecipeError
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import ProtoNet
from kshot.results.score import features as module
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import batch_norm_statistics, evaluate, predict_rectangle
from kshot.results.score.features import encode_items, item_codes, used_codes

CPU = torch.device("cpu")
Make = Callable[..., Any]

RANGES = EpisodeShape(way=(2, 4), shot=(1, 3), query=(2, 4))


def rows_of(episodes: EpisodeSet) -> list[DrawnEpisodes]:
    """Each episode on its own, in the order of the numbers."""
    rows = [rectangle.rows(slice(row, row + 1)) for rectangle in episodes.drawn for row in range(len(rectangle))]
    return sorted(rows, key=lambda drawn: int(drawn.numbers[0]))


@torch.no_grad()
def plain_logits(learner: Learner, episodes: EpisodeSet, drawn: DrawnEpisodes) -> Tensor:
    """The slow way: gather and encode one episode's own items, support and query apart."""
    batch = gather_batch(episodes.dataset, drawn, episodes.shape.augment, CPU)
    support, query = learner.encode(batch.support_x.squeeze(0)), learner.encode(batch.query_x.squeeze(0))
    adapted = learner.adapt(support.unsqueeze(0), batch.support_y, way=batch.way)
    return learner.predict(adapted, query.unsqueeze(0))


@torch.no_grad()
def shared_logits(learner: Learner, episodes: EpisodeSet) -> list[Tensor]:
    """Logits from features that all episodes share, in the order of the numbers."""
    codes = np.unique(np.concatenate([used_codes(rectangle) for rectangle in episodes.drawn]))
    features = encode_items(learner, episodes, codes, CPU)
    return [predict_rectangle(learner, episodes, drawn, features, "inductive", CPU) for drawn in rows_of(episodes)]


def plain_scores(learner: Learner, episodes: EpisodeSet) -> np.ndarray:
    scores = []
    for drawn in rows_of(episodes):
        logits = plain_logits(learner, episodes, drawn)[0].numpy()
        scores.append(np.mean(logits.argmax(1) == drawn.query_y[0]))
    return np.array(scores)


@pytest.mark.slow
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("augment", ["none", "quarter_turns"])
def test_shared_features_give_the_plain_logits_to_1e_10(
    pictures: Make, protonet: Make, draw: Make, doubles: Preprocess, norm: bool, augment: str
) -> None:
    learner = protonet(norm).double()
    episodes = draw(pictures(preprocess=doubles), replace(RANGES, augment=augment), 30)
    for drawn, logits in zip(rows_of(episodes), shared_logits(learner, episodes), strict=True):
        assert logits.dtype == torch.float64
        torch.testing.assert_close(logits, plain_logits(learner, episodes, drawn), rtol=0, atol=1e-10)
    scores = evaluate(learner, episodes).scores
    assert np.array_equal(scores, plain_scores(learner, episodes))
    assert 0.2 < scores.mean() < 1  # neither all right nor all wrong, or the comparison would be idle


@pytest.mark.parametrize("norm", [False, True])
def test_in_float32_only_near_ties_may_be_answered_otherwise(pictures: Make, protonet: Make, draw: Make, norm: bool) -> None:
    learner = protonet(norm)
    episodes = draw(pictures(), EpisodeShape(5, 2, 5), 50)
    compared = 0
    for drawn, logits in zip(rows_of(episodes), shared_logits(learner, episodes), strict=True):
        plain = plain_logits(learner, episodes, drawn)
        best = plain.topk(2, -1).values
        clear = best[..., 0] - best[..., 1] > 1e-4 * best.abs().amax(-1)
        compared += int(clear.sum())
        assert torch.equal(logits.argmax(-1)[clear], plain.argmax(-1)[clear])
    assert compared > 0.95 * 50 * 25


def test_scores_come_in_the_order_of_the_numbers(pictures: Make, protonet: Make, draw: Make, doubles: Preprocess) -> None:
    learner = protonet().double()
    episodes = draw(pictures(preprocess=doubles), RANGES, 60)
    assert len(episodes.drawn) > 10
    results = evaluate(learner, episodes)
    assert len(set(results.scores)) > 3
    assert np.array_equal(results.scores, plain_scores(learner, episodes))
    backwards = replace(episodes, drawn=tuple(rectangle.rows(np.arange(len(rectangle))[::-1]) for rectangle in reversed(episodes.drawn)))
    assert np.array_equal(evaluate(learner, backwards).scores, results.scores)


def test_scores_do_not_depend_on_how_much_memory_features_may_take(
    pictures: Make, protonet: Make, draw: Make, doubles: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, episodes = protonet(norm=True).double(), draw(pictures(preprocess=doubles), RANGES, 40)
    whole = evaluate(learner, episodes).scores
    monkeypatch.setattr(module, "_FEATURE_BYTES", 0)
    assert np.array_equal(evaluate(learner, episodes).scores, whole)
    monkeypatch.undo()
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 1)
    monkeypatch.setattr(module, "_ITEMS_AT_ONCE", 7)
    assert np.array_equal(evaluate(learner, episodes).scores, whole)


def test_every_item_is_encoded_once(pictures: Make, protonet: Make, draw: Make) -> None:
    learner, dataset = protonet(), pictures()
    encoded: list[int] = []
    learner.backbone.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))
    evaluate(learner, draw(dataset, EpisodeShape(5, 5, 5), 100))  # 5,000 places in episodes
    assert sum(encoded) <= len(dataset) + 1  # one item is tried first, to see how large its features are


def test_a_learner_that_encodes_nothing_is_scored_as_well(pictures: Make, raw_pairs: Learner, draw: Make) -> None:
    episodes = draw(pictures(), RANGES, 30)
    assert np.array_equal(evaluate(raw_pairs, episodes).scores, evaluate(ProtoNet(nn.Flatten()), episodes).scores)


def test_a_mode_that_is_not_offered_is_refused(pictures: Make, protonet: Make, draw: Make) -> None:
    with pytest.raises(RecipeError, match="ProtoNet offers inductive prediction; transductive was asked for"):
        evaluate(protonet(), draw(pictures(), EpisodeShape(3, 1, 2)), mode="transductive")


class _Together(ProtoNet):
    """Says class 0 to every query when it is asked about all of them together."""

    modes = ("inductive", "transductive")

    def predict_together(self, adapted: Any, query_features: Inputs) -> Tensor:
        logits = torch.zeros_like(super().predict(adapted, query_features))
        logits[..., 0] = 1
        return logits


def test_the_mode_decides_which_answer_is_scored(pictures: Make, draw: Make) -> None:
    learner, episodes = _Together(nn.Flatten()), draw(pictures(), EpisodeShape(4, 1, 3))
    together = evaluate(learner, episodes, mode="transductive")
    assert together.mode == "transductive"
    assert np.array_equal(together.scores, np.full(20, 0.25))
    assert evaluate(learner, episodes).mean != 0.25


def test_the_learner_is_left_as_it_was(pictures: Make, protonet: Make, draw: Make) -> None:
    learner = protonet(norm=True).train()
    learner.backbone[2].eval()  # a part that its owner keeps frozen
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    evaluate(learner, draw(pictures(), EpisodeShape(3, 1, 2)))
    assert [module.training for module in learner.modules()] == [True, True, True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    assert all(value.grad is None for value in learner.parameters())


def test_the_learner_is_left_as_it_was_by_an_interruption(pictures: Make, protonet: Make, draw: Make) -> None:
    def interrupt(more: int) -> None:
        raise KeyboardInterrupt

    learner = protonet(norm=True).train()
    with pytest.raises(KeyboardInterrupt):
        evaluate(learner, draw(pictures(), EpisodeShape(3, 1, 2)), progress=interrupt)
    assert all(module.training for module in learner.modules())


def test_progress_counts_every_episode(pictures: Make, protonet: Make, draw: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 40)
    done: list[int] = []
    evaluate(protonet(), draw(pictures(), RANGES, 33), progress=done.append)
    assert sum(done) == 33
    assert len(done) > 5


def test_turned_items_are_other_items(pictures: Make, protonet: Make, draw: Make) -> None:
    dataset = pictures()
    plain, turned = draw(dataset, EpisodeShape(4, 1, 3)), draw(dataset, EpisodeShape(4, 1, 3, augment="quarter_turns"))
    assert plain.hash != turned.hash
    results = evaluate(protonet(), turned)
    assert results.episodes_hash == turned.hash
    assert np.array_equal(results.scores, plain_scores(protonet(), turned))


def test_codes_hold_items_and_any_int16_parameter() -> None:
    items, changes = np.array([0, 3, 3, 70_000]), np.array([0, -1, 32_767, -32_768], dtype=np.int16)
    codes = item_codes(items, changes)
    assert np.array_equal(codes >> 16, items)
    assert np.array_equal((codes & 0xFFFF).astype(np.int16), changes)


def test_a_set_is_named_by_its_hash(pictures: Make, draw: Make) -> None:
    dataset, shape = pictures(), EpisodeShape(3, 1, 2)
    assert draw(dataset, shape).hash == draw(dataset, shape).hash
    assert len({draw(dataset, shape, 20, seed).hash for seed in range(4)} | {draw(dataset, shape, 21).hash}) == 5
    assert len(draw(dataset, RANGES, 33)) == 33


@pytest.mark.parametrize("episodes", [0, -1])
def test_no_episodes_are_refused(pictures: Make, draw: Make, episodes: int) -> None:
    with pytest.raises(RecipeError, match=f"episodes must be 1 or more; found {episodes}"):
        draw(pictures(), EpisodeShape(3, 1, 2), episodes)


def test_too_few_items_are_refused(pictures: Make, draw: Make) -> None:
    with pytest.raises(EpisodeError, match="'group0/class00' has 12 items; way=3 shot=5 query=8 needs 13"):
        draw(pictures(), EpisodeShape(3, 5, 8))


def test_the_results_say_what_was_asked(pictures: Make, protonet: Make, draw: Make) -> None:
    results = evaluate(protonet(norm=True), draw(pictures(), RANGES, 7, 5))
    assert (results.score_name, results.data, results.split, results.seed) == ("accuracy", "patterns", "all/test", 5)
    assert (results.way, results.shot, results.query) == ((2, 4), (1, 3), (2, 4))
    assert (results.mode, results.statistics, len(results.scores)) == ("inductive", "running", 7)
    assert 0 < results.seconds < 60


def test_whose_batch_norm_statistics_are_used(protonet: Make) -> None:
    assert batch_norm_statistics(protonet()) == "none"
    assert batch_norm_statistics(protonet(norm=True)) == "running"
    assert batch_norm_statistics(ProtoNet(nn.BatchNorm1d(3, track_running_stats=False))) == "batch"
