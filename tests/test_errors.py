"""The tree in the docstring is the real one, and the message for a missing extra says what to do."""

import re

import pytest

from kshot import errors


def classes() -> dict[str, type[Exception]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == errors.__name__
    }


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    drawn = re.findall(r"^ +(?:[├└]── )?(\w+Error)\b", errors.__doc__ or "", flags=re.MULTILINE)
    assert drawn[0] == "KshotError"
    assert drawn == list(classes())  # in the same order as they are defined, too


def test_there_are_at_most_eight_and_all_hang_under_one() -> None:
    assert len(classes()) <= 8
    assert errors.KshotError.__bases__ == (Exception,)
    assert {error.__bases__[0] for name, error in classes().items() if name != "KshotError"} == {errors.KshotError}


def test_bad_values_are_value_errors_as_other_libraries_expect() -> None:
    assert [name for name, error in classes().items() if issubclass(error, ValueError)] == ["DataError", "RecipeError"]


@pytest.mark.parametrize("name", list(classes()))
def test_each_says_what_it_is_for(name: str) -> None:
    assert classes()[name].__doc__


def test_an_unknown_name_is_told_the_nearest_and_the_known_ones() -> None:
    assert errors.known_ones("adm", ("sgd", "adam")) == " Did you mean 'adam'? The known ones are sgd, adam."
    assert errors.known_ones("rule", ("sgd", "adam")) == " The known ones are sgd, adam."
    assert errors.known_ones(3, iter(["sgd"])) == " The known ones are sgd."
    assert errors.known_ones("adm", ()) == " It has none."


def test_a_missing_extra_names_the_line_that_installs_it() -> None:
    error = errors.missing_extra("matplotlib", "plots", "A picture of episodes")
    assert isinstance(error, errors.SetupError)
    assert str(error) == ("A picture of episodes needs matplotlib, which is not installed. Install it with: pip install 'kshot[plots]'")


def test_a_message_is_printable_whatever_it_names() -> None:
    error = errors.DataError("cannot read \x1b[31m\u202ea\udcff.png:\nError: forged")
    assert str(error) == r"cannot read \x1b[31m\u202ea\udcff.png:" + "\n  Error: forged"
    assert str(errors.DataError(str(error))) == str(error)
