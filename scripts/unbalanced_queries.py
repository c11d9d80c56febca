"""Measure refinements where classes have unequal numbers of queries, which drawn episodes never have.

    python scripts/unbalanced_queries.py omniglot-protonet --split val --episodes 300

Each episode has 15 queries per class. A third of its queries is kept, drawn without replacement by class shares from a Dirichlet
distribution of parameter 2 (seed 0). A 5-way episode keeps 25 queries, of which one class may have none and another 15. The script prints a
table: mean accuracy and 95 % interval of the learner alone and of each refinement, on the queries kept.
"""

import argparse
from dataclasses import replace

import numpy as np

from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.shape import EpisodeShape
from kshot.results.score.episode_set import EpisodeSet
from kshot.saved.shipped import open_saved
from kshot.workflows.question import Question, answer, ask

SETTINGS = ((5, 1), (5, 5), (20, 1))
REFINEMENTS = (
    *(None, "soft_k_means", "optimal_transport", "optimal_transport:balanced=false"),
    *("bd_cspn", "bd_cspn:shift=false", "tim", "tim:balance=0"),
)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("saved")
    parser.add_argument("--split", default="val")
    parser.add_argument("--episodes", type=int, default=1000)
    options = parser.parse_args()
    saved = open_saved(options.saved)
    for way, shot in SETTINGS:
        episodes = thinned(ask(saved, Question(split=options.split, shape=EpisodeShape(way, shot, 15), episodes=options.episodes)))
        for refinement in REFINEMENTS:
            shown = answer(saved, episodes, "inductive", "cpu", refine=refinement).shown
            print(f"{way}-way {shot}-shot  {refinement or 'inductive':35}{shown}", flush=True)


def thinned(episodes: EpisodeSet) -> EpisodeSet:
    """Return the same episodes with a third of their queries, in unequal shares."""
    random = np.random.default_rng(0)
    return replace(episodes, drawn=tuple(thin(rectangle, random) for rectangle in episodes.drawn))


def thin(drawn: DrawnEpisodes, random: np.random.Generator) -> DrawnEpisodes:
    """Return a third of each episode's queries."""
    Q = drawn.query_y.shape[1]
    shares = random.dirichlet(np.full(drawn.way, 2.0), len(drawn))  # (B, N)
    weights = np.take_along_axis(shares, drawn.query_y, 1)  # (B, Q)
    kept = np.stack([random.choice(Q, Q // 3, replace=False, p=row / row.sum()) for row in weights])
    items, y = (np.take_along_axis(part, kept, 1) for part in (drawn.query_items, drawn.query_y))
    changes = None if drawn.query_changes is None else np.take_along_axis(drawn.query_changes, kept, 1)
    return replace(drawn, query_items=items, query_y=y, query_changes=changes)


if __name__ == "__main__":
    main()
