"""Lake's 20 runs: within one alphabet of the evaluation set, one drawer shows and another asks."""

import numpy as np
import pytest

from kshot.data.pictures.lake_runs import lake_runs
from kshot.data.pictures.omniglot import Omniglot


@pytest.mark.parametrize("rotations", ["none", "classes"])
def test_each_run_is_twenty_characters_of_one_alphabet_shown_by_one_drawer_and_asked_by_another(rotations: str) -> None:
    omniglot = Omniglot(rotations=rotations)  # type: ignore[arg-type]
    runs = lake_runs(omniglot)
    turns = 4 if rotations == "classes" else 1
    for classes, support, query, answers in zip(runs.classes, runs.support, runs.query, runs.answers, strict=True):
        assert len(set(classes)) == 20
        (alphabet,) = {name.partition("/")[0] for name in classes}
        assert alphabet not in omniglot.background
        owners = {int(item): name for name in omniglot.index.names for item in omniglot.index.items_of(name)}
        assert [owners[item] for item in support] == list(classes)
        assert [owners[item] for item in query] == [classes[answer] for answer in answers]
        assert sorted(answers) == list(range(20))
        drawers = [set((part // turns % 20).tolist()) for part in (support, query)]
        assert [len(drawer) for drawer in drawers] == [1, 1]
        assert drawers[0] != drawers[1]


def test_the_runs_are_ten_alphabets_twice_and_no_picture_comes_twice() -> None:
    runs = lake_runs(Omniglot(rotations="none"))
    alphabets = [classes[0].partition("/")[0] for classes in runs.classes]
    assert sorted(alphabets.count(alphabet) for alphabet in set(alphabets)) == [2] * 10
    assert len(np.unique(np.concatenate([runs.support, runs.query]))) == 800
