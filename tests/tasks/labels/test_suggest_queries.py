"""What to label next among queries: in bounded memory, with a reason for each that cannot be read."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

import kshot.tasks.labels.suggest_queries
from cases.encoders import Lengths
from kshot.errors import DataError, RecipeError
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.labels.suggest import suggest
from kshot.tasks.labels.suggest_queries import SUGGESTED_COLUMNS, SuggestedQueries
from kshot.tasks.model import EncoderFacts, Model
from kshot.tasks.queries import Query

TEXTS = ["a", "bb", "ccc", "a b c d e", "a b c d e f", "a b c d e f g"]


@pytest.fixture(scope="module")
def model() -> Model:
    encoder = Lengths()
    x, y = encoder.encode(TEXTS), np.repeat([1, 0], 3)
    head = ClassMeans(feature_maps=("as they are",)).fit(x, y, 2)
    return Model(EncoderFacts.of(encoder), ("long", "short"), "class_means", head, x, y, tuple("123456"))


def asked(*texts: str) -> Iterator[Query]:
    return (Query(number, thing=text) for number, text in enumerate(texts, 1))


def test_suggestions_follow_what_cannot_be_read(model: Model) -> None:
    queries = [Query("x", "no file fits."), *asked("ab cd ef", "", "a", "abcdef")]
    found = SuggestedQueries(model, Lengths(), queries, 10)
    assert found.in_words() == ""
    rows = list(found)
    assert [(row.input, row.rank, row.error[:17]) for row in rows[:2]] == [("x", 0, "no file fits."), (2, 0, "the text is empty")]
    assert {row.input for row in rows[2:]} == {1, 4}
    assert [row.rank for row in rows[2:]] == [1, 2]
    assert rows[2].as_dict().keys() == {"input", "rank", "gain", "label", "probability"}
    assert rows[0].as_dict() == dict.fromkeys(SUGGESTED_COLUMNS) | {"input": "x", "error": "no file fits."}
    told = found.in_words()
    assert "1 of 3 things are examples of the model already, and left out." in told
    assert "2 are suggested, where 10 were asked for" in told
    assert "the labels of these 2 cover 100 % of what the model cannot tell yet." in told


def test_queries_are_ranked_as_their_vectors_are(model: Model) -> None:
    texts = ["".join(random) for random in itertools.product("ab ", repeat=4) if "".join(random).strip()]
    vectors = Lengths().encode(texts)
    expected = [one.place + 1 for one in suggest(model, vectors, 5).suggestions]
    assert [row.input for row in SuggestedQueries(model, Lengths(), asked(*texts), 5)] == expected


def test_a_long_stream_is_sampled_evenly(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kshot.tasks.labels.suggest_queries, "MOST", 40)
    kept = []
    monkeypatch.setattr(kshot.tasks.labels.suggest_queries, "suggest", lambda model, x, count: (kept.extend(x[:, 0]), suggest(model, x))[1])
    found = SuggestedQueries(model, Lengths(), (Query(number, thing="x" * number) for number in range(10, 2010)), 10)
    rows = list(found)
    assert len(rows) == 10
    assert len(kept) == len(set(kept)) == 40
    assert abs(np.mean(kept) - 1009.5) < 3 * 2000 / np.sqrt(12 * 40)
    assert {float(row.input) for row in rows} <= set(kept)  # a row keeps its own name
    assert "40 of 2,000 things, drawn at random, were compared." in found.in_words()


def test_nothing_to_suggest(model: Model) -> None:
    with pytest.raises(DataError, match="all 2 things are examples of the model already"):
        list(SuggestedQueries(model, Lengths(), asked("a", "bb"), 10))
    with pytest.raises(DataError, match="found no things"):
        list(SuggestedQueries(model, Lengths(), [], 10))
    assert [row.error for row in SuggestedQueries(model, Lengths(), [Query("x", "gone.")], 10)] == ["gone."]
    with pytest.raises(RecipeError, match="--count"):
        SuggestedQueries(model, Lengths(), [], 0)


def test_all_alike_is_one_suggestion(model: Model) -> None:
    found = SuggestedQueries(model, Lengths(), asked(*["abcd ef"] * 30), 10)
    assert len(list(found)) == 1
    assert "1 is suggested, where 10 were asked for: the others of 30 things are alike to it or to examples." in found.in_words()
