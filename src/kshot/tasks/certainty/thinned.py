"""How left-out examples score where there is one example less of each class: how fast a head learns.

    thinned examples = all but one block;   each is answered without its own block, so by a head with k - 2 examples per class

The settings and the temperature are those of the chosen head, so that nothing but the number of examples differs from its left-out answers.
In: a `Choice` and its examples. Out: scores. Next: `kshot.tasks.certainty.ranks`, which carries the change on from k - 2 to k.
"""

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kshot.tasks.certainty.sets import own_scores
from kshot.tasks.heads.blas_threads import on_one_thread
from kshot.tasks.heads.blocks import LEAVE_ONE_OUT
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.side_by_side import side_by_side

if TYPE_CHECKING:
    from kshot.tasks.heads.choose import Choice

_MOST_BLOCKS = 5
_MOST_EXAMPLES = 1_000
"""More examples than that are not thinned: a head learns little from one more of each class, and the time grows with the cube."""


class Thinned(NamedTuple):
    """Scores where there is one example less of each class.

    Attributes:
        scores: As of `own_scores`, ascending, float32 (m',); empty where the examples cannot be thinned.
        shot: k, the examples per class, on average.
    """

    scores: np.ndarray
    shot: float


@on_one_thread
def thinned(choice: "Choice", given: Given) -> Thinned:
    """Score the examples with one less of each class.

    Args:
        choice: The chosen head.
        given: The examples that it was chosen on.

    Returns:
        The scores; none if the head has no closed form, if a class has fewer than three examples or if its classes differ much in their
        counts, or if there are very many examples.
    """
    shot = len(given.y) / given.way
    nothing = Thinned(np.empty(0, np.float32), shot)
    if choice.again is None or not given.whole or len(given.y) > _MOST_EXAMPLES or given.counts.min() < 3:
        return nothing
    found = given.blocks()
    if found.how == LEAVE_ONE_OUT:
        return nothing
    again = choice.again

    def scores_without(block: np.ndarray) -> np.ndarray:
        kept = np.ones(len(given.y), dtype=bool)
        kept[block] = False
        rest = Given(given.x[kept], given.y[kept], given.way)
        return own_scores(again(rest), rest.y)

    blocks = [block for group in found.groups for block in group][:_MOST_BLOCKS]
    return Thinned(np.sort(np.concatenate(side_by_side([partial(scores_without, block) for block in blocks]))), shot)
