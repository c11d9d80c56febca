"""Real characters of Omniglot for the pictures: one fixed 5-way 1-shot test episode, its drawings, and what the shipped learner answers."""

from functools import cache

import numpy as np
import torch

from kshot.data.inputs import map_inputs
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.batch import gather_batch
from kshot.episodes.episode import DrawnEpisodes, EpisodeBatch
from kshot.episodes.shape import EpisodeShape
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating
from kshot.saved.shipped import load

WAY, QUERY, SEED = 5, 3, 3


@cache
def omniglot() -> Omniglot:
    """The data set as the shipped learners read it."""
    return Omniglot()


@cache
def _sharp() -> Omniglot:
    """The same drawings in the same order with four times as many pixels, to look at."""
    return Omniglot(size=56)


@cache
def episode() -> DrawnEpisodes:
    """One 5-way 1-shot episode of test characters, as item numbers."""
    data = omniglot()
    test = data.split("vinyals").part("test")
    (drawn,) = EpisodeSet.draw(data, test, "vinyals/test", EpisodeShape(WAY, 1, QUERY), episodes=1, seed=SEED).drawn
    return drawn


@cache
def answers() -> np.ndarray:
    """Probabilities (Q, N) that the shipped Prototypical Network gives the queries of the episode."""
    batch: EpisodeBatch = gather_batch(omniglot(), episode(), "none", torch.device("cpu"))
    learner = load("omniglot-protonet")
    assert isinstance(batch.support_x, torch.Tensor)
    assert isinstance(batch.query_x, torch.Tensor)
    with evaluating(learner), torch.no_grad():
        support, query = (map_inputs(lambda value: value.unsqueeze(0), learner.encode(x[0])) for x in (batch.support_x, batch.query_x))
        logits = learner.predict(learner.adapt(support, batch.support_y, way=WAY), query)
    return logits[0].softmax(-1).numpy()


def ink(items: np.ndarray) -> np.ndarray:
    """The drawings of items (n,) as ink (n, h, w) between 0 and 1."""
    return _sharp().gather(items)[:, 0].numpy() / 255.0
