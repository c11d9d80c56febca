"""Labelling, as the command does it: answers are shown or written as they come, with a bar on standard error, and counted.

In: what `kshot.predict_command` has read from its flags. Out: lines, a table or JSON. Labelling with a fitted model imports neither PyTorch
nor scikit-learn nor pandas.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from kshot.errors import DataError, RecipeError
from kshot.standard_input import standard_input, standard_lines
from kshot.tasks.certainty.asked import Asked

if TYPE_CHECKING:
    from kshot.tasks.answers import Answer, Answered, OwnScore
    from kshot.tasks.model import Model
    from kshot.tasks.queries import Query
    from kshot.tasks.regression.model import QuantityModel

_Answer = TypeVar("_Answer", bound="Answered")


@dataclass(frozen=True)
class Labelling:
    """Where the answers go.

    Attributes:
        file: A `.csv` or `.jsonl` file; None: standard output alone.
        as_json: Whether standard output gets one JSON object per line, in place of lines to read.
        probabilities: Whether JSON and the file get the probability of every class.
        strict: Whether the first thing that cannot be read stops the command.
        sure: The coverage of sets and the rate of false alarms.
    """

    file: Path | None = None
    as_json: bool = False
    probabilities: bool = False
    strict: bool = False
    sure: Asked = Asked()  # noqa: RUF009  # it is frozen


def label_with_learner(saved: str, support: Path, queries: Sequence[str], show_as: Labelling, device: str) -> None:
    """Label pictures with a saved learner. Ends with exit code 2 if one of them cannot be read.

    Args:
        saved: The name of a saved learner.
        support: The folder of the support set.
        queries: Words, as `kshot.tasks.queries` understands them.
        show_as: Where the answers go.
        device: The name of a device.
    """
    from kshot.data.pictures import copies
    from kshot.data.pictures.class_folders import class_files
    from kshot.device import pick_device
    from kshot.saved.shipped import open_saved
    from kshot.tables import show_answer
    from kshot.tasks.answer_file import check_answer_file
    from kshot.tasks.answers import OwnScore, answer_queries, columns
    from kshot.tasks.classifier import Classifier
    from kshot.tasks.queries import files_named, find_queries
    from kshot.terminal import say
    from kshot.workflows.distance import support_notes

    if show_as.file is not None:
        check_answer_file(show_as.file, files_named(queries))
    opened = open_saved(saved)
    classifier = Classifier(opened, support, device=str(pick_device(device)))
    asked = list(find_queries(queries, standard_lines()))
    if not asked:
        raise RecipeError("there is nothing to label: standard input names no picture. Give one path per line.")
    files = class_files(support)
    pictures = [path for paths in files.values() for path in paths]
    for note in (*copies.support_notes(files), *support_notes(opened, classifier, pictures)):
        say(f"Note: {note}")
    for note in classifier.judge(show_as.sure).notes:
        say(f"Note: {note}")
    answers = answer_queries(classifier, asked, show_as.sure)
    named = columns(classifier.classes, probabilities=show_as.probabilities, sets=show_as.sure.coverage is not None)
    score = OwnScore(classifier.classes, pictures)
    write_answers(_counted(answers, score), show_answer, "pictures", len(asked), show_as, columns=named, told=score.in_words)


def label_with_model(
    model: "Model", words: Sequence[str], show_as: Labelling, device: str, *, text: str | None, path: str | None, form: str | None
) -> None:
    """Label things with a fitted model, as `label_with_learner` does. Long input streams in bounded memory.

    Args:
        model: The model.
        words: Words, as `kshot.tasks.queries.queries_of` understands them.
        show_as: Where the answers go.
        device: The name of a device.
        text: The column of the texts of a table, as the user names it.
        path: The column of the paths of a table, as the user names it.
        form: The form of a table on standard input.
    """
    from kshot.encoders.vector_cache import VectorCache
    from kshot.tables import show_answer
    from kshot.tasks.answer_file import check_answer_file
    from kshot.tasks.answers import OwnScore, columns, judge_of, label_each
    from kshot.tasks.encoder_by_name import unfit_for_ink
    from kshot.tasks.model_encoder import encoder_of
    from kshot.tasks.queries import STANDARD_INPUT, TableForm, files_named, queries_of
    from kshot.terminal import say

    if show_as.file is not None:
        check_answer_file(show_as.file, files_named(words))
    judge = judge_of(model, show_as.sure)
    for note in judge.notes:
        say(f"Note: {note}")
    encoder = encoder_of(model, device)
    table = TableForm(model.encoder.reads, tuple(model.columns.get("things", ())), text, path, form)
    queries: Iterable[Query] = queries_of(words, table, standard_input())
    total = None
    if model.encoder.reads == "photographs" and STANDARD_INPUT not in words:
        queries = list(queries)
        total = len(queries)
        if note := unfit_for_ink(encoder, [query.thing for query in queries]):
            say(f"Note: {note}")
    score = OwnScore(model.classes, [Path(name) for name in model.names] if model.encoder.reads == "photographs" else ())
    answers = label_each(model, encoder, queries, cache=VectorCache(), judge=judge)
    named = columns(model.classes, probabilities=show_as.probabilities, sets=show_as.sure.coverage is not None)
    write_answers(_counted(answers, score), show_answer, model.encoder.reads, total, show_as, columns=named, told=score.in_words)


def _counted(answers: "Iterable[Answer]", score: "OwnScore") -> "Iterator[Answer]":
    for answer in answers:
        score.count(answer)
        yield answer


def answer_with_quantity(model: "QuantityModel", words: Sequence[str], show_as: Labelling, form: str | None) -> None:
    """Write the value for each row, as `label_with_model` writes labels; a value has no probabilities."""
    from kshot.tables import show_value
    from kshot.tasks.answer_file import check_answer_file
    from kshot.tasks.queries import TableForm, files_named, queries_of
    from kshot.tasks.regression.answers import VALUE_COLUMNS, value_each

    if show_as.file is not None:
        check_answer_file(show_as.file, files_named(words))
    table = TableForm("numbers", tuple(one.name for one in model.columns.columns), form=form)
    queries = queries_of(words, table, standard_input())
    write_answers(value_each(model, queries), show_value, "rows", None, show_as, columns=VALUE_COLUMNS)


def write_answers(
    answers: "Iterable[_Answer]",
    show: "Callable[[_Answer], None]",
    what: str,
    total: int | None,
    show_as: Labelling,
    *,
    columns: Sequence[str],
    told: Callable[[], str] = str,
) -> None:
    """Show answers as they come, write them into a file, and count. Ends with exit code 2 if a query cannot be read.

    Args:
        answers: The answers.
        show: Prints an answer as a line to read.
        what: What is labelled, in the plural.
        total: How many answers there will be; None if that is not known.
        show_as: Where they go.
        columns: The columns of a table of answers.
        told: Gives what is said at the end; empty if there is nothing to say.

    Raises:
        DataError: With `strict`, the first query that cannot be read.
        RecipeError: There is nothing to label.
    """
    from kshot.terminal import complain, counting, out, say

    asked = unread = 0
    # Lines on a terminal are progress enough, and a bar would overwrite them.
    lines = (show_as.as_json or show_as.file is None) and out.is_terminal
    bar = nullcontext(lambda more: None) if lines else counting(what, total)
    with answers_shown(show, show_as, columns) as write, bar as progress:
        for answer in answers:
            asked += 1
            unread += bool(answer.error)
            write(answer)
            progress(1)
    if not asked:
        raise RecipeError(f"there is nothing to label: the input holds no {what}.")
    if show_as.file is not None:
        say(f"The answers are in {show_as.file}")
    if sentence := told():
        say(sentence)
    if unread:
        complain(f"{unread} of {asked} queries cannot be read; the reason is in the row of each. The others are answered.")
        raise typer.Exit(2)


@contextmanager
def answers_shown(show: "Callable[[_Answer], None]", show_as: Labelling, columns: Sequence[str]) -> "Iterator[Callable[[_Answer], None]]":
    """Show answers, and write them into a file.

    Args:
        show: Prints an answer as a line to read.
        show_as: Where they go.
        columns: The columns of a table of answers.

    Yields:
        A function that shows and writes an answer. With `strict`, it raises a DataError for one that cannot be read.
    """
    from kshot.tasks.answer_file import answer_file
    from kshot.terminal import print_json

    file, probabilities = show_as.file, show_as.probabilities
    written = nullcontext(lambda answer: None) if file is None else answer_file(file, columns, probabilities=probabilities)
    with written as write:

        def shown(answer: "_Answer") -> None:
            if answer.error and show_as.strict:
                raise DataError(f"{answer.input}: {answer.error} Without --strict, it would be a row with its reason.")
            write(answer)
            if show_as.as_json:
                print_json(answer.as_dict(probabilities=probabilities))
            elif file is None:
                show(answer)

        yield shown
