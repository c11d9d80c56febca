"""The shipped learner `tables-in-context` as a head: a transformer that was trained on made-up tables reads the examples as one of them.

Nothing is trained, and there is no setting. numpy computes what `kshot.InContext` does with PyTorch, so a fit and an answer need neither
PyTorch nor ONNX Runtime. Left out, examples are answered from a table that is read again without their block: one example of every class,
or, where there were more than `FOLDS` blocks, one of `FOLDS` stratified folds. In: at most 10 classes, 32 features and 256 examples, on
which the network was trained. Out: a head of the form `in_context`, which holds the network and what it has read of the examples.
"""

import numpy as np

from kshot.errors import RecipeError
from kshot.tasks.heads.blocks import Blocks
from kshot.tasks.heads.feature_map import AS_THEY_ARE
from kshot.tasks.heads.folds import stratified_folds
from kshot.tasks.heads.given import Given, Seen
from kshot.tasks.heads.head import FittedHead, Settled, Settling
from kshot.tasks.heads.in_context_network import FEATURES, SLOTS, ask, network, read
from kshot.tasks.heads.search import LeftOutLogits, Settings, search

EXAMPLES = 256
"""The most examples."""
FOLDS = 10
"""How often the table is read again for left-out answers, at most."""


class InContext(Settling):
    """A transformer that reads the examples as a table."""

    name = "in_context"

    def settle(self, given: Given) -> Settled:
        """Read the examples. See `Head.settle`.

        Raises:
            RecipeError: There are more classes, features or examples than the network was trained for.
        """
        given.full()
        require_fit(len(given.y), given.x.shape[1], given.way)
        if given.anchors:
            raise RecipeError("the head in_context reads rows of numbers, and no descriptions of classes. Choose another head.")
        weights = network()

        def prepare(seen: Seen) -> LeftOutLogits:
            x, y, way = seen.given.sample_x, seen.given.sample_y, seen.given.way

            def logits_of(_: tuple[float, ...], group: np.ndarray) -> np.ndarray:
                found = np.empty((*group.shape, way), np.float32)
                for place, block in enumerate(group):
                    rest = np.setdiff1d(np.arange(len(y)), block)
                    arrays = read(weights, x[rest], y[rest], way)
                    found[place] = ask(x[block] - arrays["centre"], arrays)
                return found

            return logits_of

        blocks = given.blocks()
        few = sum(map(len, blocks.groups)) <= FOLDS
        settings = Settings((AS_THEY_ARE,), ((),), (AS_THEY_ARE, ()), 1.0)
        found = search(given, settings, prepare, blocks if few else _folds(given.sample_y))

        def fit() -> FittedHead:
            arrays = read(weights, given.x, given.y, given.way)
            T = found.temperature or 1.0  # its logits are logarithms of probabilities
            return FittedHead("in_context", AS_THEY_ARE, arrays, T, {})

        return Settled(found.left_out, fit, found.again if few else None)


def fits(examples: int, features: int, way: int) -> bool:
    """Say whether the network was trained for tables of n rows, D columns and N classes."""
    return examples <= EXAMPLES and features <= FEATURES and way <= SLOTS


def require_fit(examples: int, features: int, way: int) -> None:
    """Refuse a larger table than the network was trained for.

    Raises:
        RecipeError: It is larger.
    """
    if not fits(examples, features, way):
        raise RecipeError(
            f"the head in_context reads at most {SLOTS} classes, {FEATURES} features and {EXAMPLES} examples, for which it was trained; "
            f"found {way:,}, {features:,} and {examples:,}. Choose another with --with, or leave --with out."
        )


def _folds(y: np.ndarray) -> Blocks:
    """Deal the examples of the classes with two or more into stratified folds."""
    folds = min(FOLDS, int(np.bincount(y).max()))
    fold = stratified_folds(y, folds, 0)
    blocks = [np.flatnonzero(fold == number) for number in range(folds)]
    groups = tuple(np.stack([one for one in blocks if len(one) == size]) for size in sorted({*map(len, blocks)} - {0}, reverse=True))
    return Blocks(groups, f"{folds} stratified folds")
