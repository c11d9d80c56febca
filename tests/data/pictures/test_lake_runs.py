"""Lake's 20 runs: within one alphabet of the evaluation set, one drawer shows and another asks."""

import numpy as np
import pytest

from kshot.data.pictures.lake_runs import lake_runs
from kshot.data.pictures.omniglot import Omniglot


@pytest.mark.slow
@pytest.mark.parametrize("data", ["upright_omniglot", "omniglot"])
def test_each_run_is_twenty_characters_of_one_alphabet_shown_by_one_drawer_and_asked_by_another(
    data: str, request: pytest.FixtureRequest
) -> None:
    omniglot: Omniglot = request.getfixturevalue(data)
    runs = lake_runs(omniglot)
    turns = 4 if data == "omniglot" else 1
    owners = {int(item): name for name in omniglot.index.names for item in omniglot.index.items_of(name)}
    for classes, support, query, answers in zip(runs.classes, runs.support, runs.query, runs.answers, strict=True):
        assert len(set(classes)) == 20
        (alphabet,) = {name.partition("/")[0] for name in classes}
        assert alphabet not in omniglot.background
        assert [owners[item] for item in support] == list(classes)
        assert [owners[item] for item in query] == [classes[answer] for answer in answers]
        assert sorted(answers) == list(range(20))
        drawers = [set((part // turns % 20).tolist()) for part in (support, query)]
        assert [len(drawer) for drawer in drawers] == [1, 1]
        assert drawers[0] != drawers[1]


@pytest.mark.slow
def test_the_runs_are_ten_alphabets_twice_and_no_picture_comes_twice(upright_omniglot: Omniglot) -> None:
    runs = lake_runs(upright_omniglot)
    alphabets = [classes[0].partition("/")[0] for classes in runs.classes]
    assert sorted(alphabets.count(alphabet) for alphabet in set(alphabets)) == [2] * 10
    assert len(np.unique(np.concatenate([runs.support, runs.query]))) == 800
