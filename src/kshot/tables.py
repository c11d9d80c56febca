"""Results as lines and tables on standard output.

In: the results of the stages. Out: text, every name of which passes `kshot.printable`. Next: the modules of the commands.
"""

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from kshot.printable import printable
from kshot.terminal import out, print_line, print_text, print_wrapped

if TYPE_CHECKING:
    from kshot.results.compare.comparison import Comparison
    from kshot.results.inspect.task_report import TaskReport
    from kshot.results.score.loss_curves import LossCurves
    from kshot.results.score.presentations import Presentations
    from kshot.results.score.result import Results
    from kshot.tasks.answers import Answer
    from kshot.tasks.labels.doubtful import Doubtful
    from kshot.tasks.labels.suggest_queries import Suggested
    from kshot.tasks.multi_label.answers import LabelsAnswer
    from kshot.tasks.regression.answers import ValueAnswer


def show_answer(answer: "Answer") -> None:
    """Print one line per query: its class, the probability, the set if one was asked for, and the runners-up; or why it cannot be read."""
    if answer.prediction is None:
        print_text((f"{answer.input}: ", ""), ("not read", "bold red"), (f": {answer.error}", ""))
        return
    one = answer.prediction
    ranked = sorted(one.probabilities.items(), key=lambda item: -item[1])
    others = ", ".join(f"{printable(name)} {value:.3f}" for name, value in ranked if name != one.label)
    held = "" if one.set is None else f"  set of {len(one.set):,}: {_short(', '.join(map(printable, one.set)))}"
    odd = ("  unknown", "bold yellow") if one.unknown else ("", "")
    print_text(
        (f"{answer.input}: ", ""), (one.label, "bold"), (f" {one.probability:.3f}", ""), odd, (f"{held}  (then {_short(others)})", "")
    )


def show_labels(answer: "LabelsAnswer") -> None:
    """Print one line per thing: its labels, and the most probable ones that it was not given; or why it cannot be read."""
    if answer.error:
        print_text((f"{answer.input}: ", ""), ("not read", "bold red"), (f": {answer.error}", ""))
        return
    told = [f"{name} {answer.probabilities[name]:.3f}" for name in answer.labels]
    others = [f"{printable(name)} {answer.probabilities[name]:.3f}" for name in answer.ranked() if name not in answer.labels]
    rest = f"  (not {_short(', '.join(others))})" if others else ""
    print_text((f"{answer.input}: ", ""), (", ".join(told) or "no label", "bold"), (rest, ""))


def show_value(answer: "ValueAnswer") -> None:
    """Print one line per row: its value, or why it cannot be read."""
    if answer.value is None:
        print_text((f"{answer.input}: ", ""), ("not read", "bold red"), (f": {answer.error}", ""))
        return
    print_text((f"{answer.input}: ", ""), (f"{answer.value:.6g}", "bold"))


def show_suggestion(suggested: "Suggested") -> None:
    """Print one line per thing to label: its rank, what it adds, and what the model takes it for; or why it cannot be read."""
    one = suggested.suggestion
    if one is None:
        print_text((f"{suggested.input}: ", ""), ("not read", "bold red"), (f": {suggested.error}", ""))
        return
    called = f"row {suggested.input}" if isinstance(suggested.input, int) else suggested.input
    gain = f"{100 * one.gain:.0f}" if one.gain >= 0.1 else f"{100 * one.gain:.2g}"  # not 1e+02
    told = f": adds {gain} %  (now {one.label} {one.probability:.3f})"
    print_text((f"{suggested.rank}. ", ""), (called, "bold"), (told, ""))


def show_doubtful(row: "Doubtful") -> None:
    """Print one line per doubtful label, or per pair of examples that are nearly the same."""
    first, second = (f"row {name}" if name.isdecimal() else name for name in (row.input, row.nearest))
    if row.kind == "copies":
        same = row.label == row.other
        labels = f"both {row.label}" if same else f"{row.label} and {row.other}"
        print_text(
            (f"{row.rank}. ", ""),
            (f"{first} and {second}", "bold"),
            (" are nearly the same: ", ""),
            (labels, "" if same else "bold red"),
        )
        return
    told = f": {row.label} {row.probability:.3f}, or {row.other} {row.other_probability:.3f}, as {second}?"
    print_text((f"{row.rank}. ", ""), (first, "bold"), (told, ""))


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[:most].rpartition(",")[0] + " …"


def show_results(results: "Results | Presentations", title: str) -> None:
    """Print a table of the score, which is its first row, and everything that identifies it."""
    rows = results.rows()
    show_rows(rows, title, rows[0][0])


def show_rows(rows: Sequence[tuple[str, str]], title: str, important: str = "") -> None:
    """Print a title, then names and values in two columns; the value of the important name is bold."""
    print_line(title, "bold")
    width = 2 + max(len(printable(name)) for name, _ in rows)
    for name, value in rows:
        print_text((f"{printable(name):<{width}}", ""), (value, "bold" if name == important else ""))


def show_curves(results: "LossCurves") -> None:
    """Print the losses of a learned optimiser and of hand-made ones, then what they mean."""
    _show_table(results.table())
    out.print()
    print_line(results.sentence(), "bold")


def show_comparison(comparison: "Comparison") -> None:
    """Print a table for each number of shots, then what they mean and how to read them."""
    _show_table(comparison.table())
    out.print()
    print_wrapped(comparison.sentence(), "bold")
    out.print()
    for note in comparison.notes():
        print_wrapped(f"- {note}")


def show_tasks(report: "TaskReport", title: str) -> None:
    """Print the findings about a learner's tasks: the score, then a heading and some lines for each question."""
    show_results(report.results, title)
    for heading, lines in report.sections():
        out.print()
        print_line(heading, "bold")
        for line in lines:
            print_wrapped(line)


_WIDEST_LIST = 160
"""Columns of a line of the list of recipes, where the terminal has as many."""


def show_recipe_list(rows: list[dict[str, Any]]) -> None:
    """Print recipes one per line: the name, the first number measured with it, and as much of what the recipe is as fits into the line."""
    width = max(len(row["name"]) for row in rows)
    room = max(16, min(out.width, _WIDEST_LIST) - width - 2)
    for row in rows:
        number = _first_number(row)
        told = f"{number}. {row['description']}" if number else row["description"]
        print_text((f"{row['name']:<{width}}", "bold"), (f"  {shorten(told, room, placeholder=' …')}", ""))
    out.print()
    print_line("All numbers of a recipe, with their commands: kshot recipes NAME")


def _first_number(row: dict[str, Any]) -> str:
    if not row["results"]:
        return ""
    entry = row["results"][0]
    mean = entry["measured"].partition(",")[0]  # a median may follow
    return f"{mean}{' %' if 'accuracy' in entry else ''} {entry['setting'].partition(',')[0]}"  # how exactly, the long form says


def show_recipes(rows: list[dict[str, Any]]) -> None:
    """Print recipes with their numbers, one paragraph per recipe, which is readable at any width."""
    for row in rows:
        print_text((row["name"], "bold"), (f"  {row['train'] or ''}", ""))
        print_line(f"  {row['description']}")
        for entry in row["results"]:
            unit = " %" if "accuracy" in entry else ""
            guessing = "" if entry["chance"] is None else f", chance {100 * entry['chance']:.3g} %"
            told = f"{entry['measured']}{unit} here, {entry['published']} published{guessing}"
            print_line(f"  {entry['setting']:<15} {told}")
            details = f"{entry['mode']}, {entry['split']}, {entry['episodes']} episodes, seed {entry['seed']}"
            print_line(f"  {'':<16}{entry['command']}  ({details})")
        for source in dict.fromkeys(entry["source"] for entry in row["results"] if entry["source"]):
            print_line(f"  published: {source}")
        out.print()


def _show_table(table: str) -> None:
    for line in table.split("\n"):
        print_line(line)
