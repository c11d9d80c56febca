"""States in memory: bounded by bytes, the oldest use goes first, never an earlier version in place of a later one."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from kshot.errors import ContractError
from kshot.learners.heads.centres import Prototypes
from kshot.saved.shipped import shipped
from kshot.web.cache import Cached, StateCache
from kshot.web.sources.nested import flattened, restored
from kshot.web.sources.table import SHIPPED


@dataclass
class State:
    bytes: int


def cached(size: int, version: int = 1) -> Cached:
    source: Any = None
    return Cached("", version, source, State(size - 500))


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = StateCache(3000)
    for id in "abc":
        cache.put(id, cached(1000))
    assert (len(cache), cache.bytes) == (3, 3000)
    assert cache.get("a") is not None
    cache.put("d", cached(1000))
    assert [id for id in "abcd" if cache.get(id)] == ["a", "c", "d"]
    cache.put("e", cached(2500))
    assert ([id for id in "abcde" if cache.get(id)], cache.bytes) == (["e"], 2500)
    cache.put("f", cached(9000))  # larger than all that there may be: alone
    assert ([id for id in "abcdef" if cache.get(id)], cache.bytes) == (["f"], 9000)
    cache.drop("f")
    cache.drop("f")
    assert (len(cache), cache.bytes) == (0, 0)


def test_an_earlier_version_does_not_take_the_place_of_a_later_one() -> None:
    cache = StateCache(3000)
    cache.put("a", cached(1000, version=3))
    cache.put("a", cached(1000, version=2))
    found = cache.get("a")
    assert found is not None
    assert (found.version, cache.bytes) == (3, 1000)
    cache.put("a", cached(1500, version=4))
    assert cache.bytes == 1500


def test_a_state_is_taken_apart_and_put_together() -> None:
    state = {"fast": (torch.ones(1, 2), [torch.zeros(1)]), "own": Prototypes(torch.ones(1, 3, 4), torch.ones(1, 3, dtype=torch.bool))}
    leaves, structure = flattened(state)
    assert ([tuple(leaf.shape) for leaf in leaves], structure.leaves) == ([(1, 2), (1,), (1, 3, 4), (1, 3)], 4)
    again = restored(structure, leaves)
    assert type(again["own"]) is Prototypes
    assert again["fast"][1][0] is leaves[1]
    with pytest.raises(ContractError, match="found int"):
        flattened((torch.ones(1), 3))


def test_the_shipped_learners_are_known_without_pytorch() -> None:
    assert sorted(SHIPPED) == shipped()
