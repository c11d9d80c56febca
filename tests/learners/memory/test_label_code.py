"""Labels as strings: drawn fairly, spelled and scored as by hand."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from kshot.errors import RecipeError
from kshot.learners.memory.label_code import LabelCode

CPU = torch.device("cpu")


def test_labels_of_an_episode_differ_and_each_is_drawn_equally_often() -> None:
    code = LabelCode(3, 2)
    strings = code.draw(np.arange(9000), 4, CPU)
    assert strings.shape == (9000, 4, 2)
    numbers = strings[..., 0] * 3 + strings[..., 1]
    assert all(len(set(row)) == 4 for row in numbers.tolist())
    for column in numbers.T.tolist():
        counts = Counter(column)
        assert sorted(counts) == list(range(9))
        assert max(abs(count - 1000) for count in counts.values()) < 5 * math.sqrt(1000)


def test_one_hot_labels_are_shuffled_for_every_episode() -> None:
    rows = LabelCode(5, 1).draw(np.arange(200), 5, CPU)[..., 0].tolist()
    assert all(sorted(row) == [0, 1, 2, 3, 4] for row in rows)
    assert len({tuple(row) for row in rows}) > 60  # of 120 permutations


def test_an_episode_has_its_labels_whatever_is_drawn_with_it() -> None:
    code = LabelCode(5, 5)
    assert torch.equal(code.draw(np.arange(8), 7, CPU)[3:5], code.draw(np.array([3, 4]), 7, CPU))


def test_spelling_and_answers_by_hand() -> None:
    code = LabelCode(2, 2)
    strings = torch.tensor([[[0, 1], [1, 1]]])
    spelled = code.spell(torch.tensor([[1, 0]]), strings)
    assert spelled.tolist() == [[[1, 1], [0, 1]]]
    assert code.one_hot(spelled, torch.zeros(())).tolist() == [[[0, 1, 0, 1], [1, 0, 0, 1]]]
    logits = torch.tensor([[[0.0, math.log(3), 0.0, 0.0], [5.0, 0.0, 5.0, 0.0]]])
    expected = [math.log(3 / 4) + math.log(1 / 2), math.log(1 / (1 + math.exp(-5))) + math.log(math.exp(-5) / (1 + math.exp(-5)))]
    assert code.loss(logits, spelled)[0].item() == pytest.approx(-sum(expected) / 2)
    found = code.class_logits(logits, strings)[0, 0].tolist()
    assert found == pytest.approx([math.log(1 / 4) + math.log(1 / 2), math.log(3 / 4) + math.log(1 / 2)])
    # One wrong character of two is a wrong label.
    assert code.right(torch.tensor([[[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]]), spelled).tolist() == [[True, False]]


def test_too_many_classes_or_labels_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"built for at most 5 classes \(outputs=5, characters=1\); found way=6. Lower way, or build it"):
        LabelCode(5, 1).draw(np.arange(1), 6, CPU)
    with pytest.raises(RecipeError, match="labels of 9 characters, each one of 5, are 1,953,125 labels; at most 65,536 are possible"):
        LabelCode(5, 9)
    with pytest.raises(RecipeError, match="characters must be 1 or more; found 0"):
        LabelCode(5, 0)
