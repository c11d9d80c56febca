"""The command `kshot`: it reads commands and flags, calls the workflows, and shows the results.

Exit codes: 0 for success; 2 for wrong use or bad input, with one message; 1 for a bug in kshot, with a traceback; 130 for Ctrl-C; 141
where nobody reads the output any more.
PyTorch is imported inside the commands, so `kshot --help` answers at once. Over 300 lines because each command is here with its flags,
and most of it is their help.
"""

import errno
import io
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kshot.atomic import finite_or_none
from kshot.errors import KshotError, RecipeError, known_ones
from kshot.flags import check_plot, fitted, numbers_of, refuse_given
from kshot.interruption import STOPPED, caused_by, interrupted, on_interrupt, raise_once
from kshot.regular_file import look

if TYPE_CHECKING:
    from kshot.learners.learner import Mode
    from kshot.results.score.presentations import Presentations
    from kshot.results.score.result import Results
    from kshot.saved.folder import Saved
    from kshot.saved.optimizer_file import SavedOptimizer
    from kshot.workflows.question import Question
    from kshot.workflows.recipe import Recipe

app = typer.Typer(
    name="kshot",
    help="Meta-learning: models that learn a new task from a few examples.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_UNREAD = 141  # what a shell reports of a program that a closed pipe has ended: 128 + SIGPIPE

# UsageError of click, or of typer's own copy of it (from 0.26 on), which is not public under its name.
_WrongUse: type[Any] = typer.BadParameter.__mro__[1]

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
_Nearness = Annotated[
    str, typer.Option(help="any; near: classes that lie near each other by their pixels (hard); far: classes far apart (easy).")
]
_Way = Annotated[int, typer.Option(help="Classes per episode. Default: fewer if the learner's own test part has fewer.")]
_Query = Annotated[int, typer.Option(help="Query items per class. Default: fewer if the learner's own test part has fewer.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …; auto uses a GPU if there is one.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the run, the report and the pictures.")] = Path("demo"),
    device: _Device = "auto",
) -> None:
    """Train a prototypical network on Omniglot in a few minutes, test it on 1,000 held-out episodes, and show a report."""
    from kshot.episodes.shape import EpisodeShape
    from kshot.saved.shipped import open_saved
    from kshot.terminal import say, show_results
    from kshot.workflows.question import Question
    from kshot.workflows.recipe import read_recipe
    from kshot.workflows.run_folder import LEARNER

    began = time.perf_counter()
    run_folder = out / "run"
    if look(run_folder / LEARNER / "learner.json") == "file":
        say(f"The learner in {run_folder} is already trained; it is tested again. Delete {out} to start from the beginning.")
        saved = open_saved(run_folder)
    else:
        say("Training on Omniglot: 1,028 characters from 33 alphabets … The learner never sees the test characters.")
        saved = _train(read_recipe("omniglot-demo"), run_folder, resume=look(run_folder) != "nothing", device=device)
    question = Question(shape=EpisodeShape(5, 1, 15), episodes=1000)
    results, page = _evaluate(saved, question, device, report=out, title="kshot demo")
    show_results(results, f"kshot demo, {time.perf_counter() - began:.0f} s in all")
    say(f"The report with its pictures is {page}")
    say(f"Try the learner: {_typed()} predict {run_folder} --support FOLDER_OF_CLASS_FOLDERS PICTURE…")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe (`kshot recipes` lists them) or a TOML file.")],
    data: Annotated[Path | None, typer.Option(help="Your own folder of class folders instead of the recipe's data.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, for example training.lr=0.01. May be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/RECIPE, with -seedN if a seed is given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly where it stopped.")] = False,
    device: _Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed to use instead of the recipe's.")] = None,
) -> None:
    """Meta-train a learner with a recipe, and save the best state."""
    from kshot.terminal import out as console
    from kshot.terminal import say
    from kshot.workflows.recipe import read_recipe

    chosen = list(settings or ())
    if data is not None:
        # An absolute path: the record of the run names it, and `./omniglot` is a folder, not the built-in data of that name.
        chosen += [f"data.name={json.dumps(os.path.abspath(data), ensure_ascii=False)}"]
        if not any(setting.startswith("data.split=") for setting in chosen):
            chosen += ["data.split=fractions"]
    if seed is not None:
        chosen += [f"seed={seed}"]
    asked = read_recipe(recipe, chosen)
    own_seed = any(setting.partition("=")[0].strip() == "seed" for setting in chosen)
    folder = out or Path("runs") / (Path(recipe).stem + (f"-seed{asked.seed}" if own_seed else ""))
    if asked.trains == "optimizer":
        trained = _train_optimizer(asked, folder, resume=resume, device=device)
        say(f"The learned optimiser is saved in {trained.folder}. To set it against hand-made ones on functions that it has not seen:")
        console.print(shlex.join(["kshot", "evaluate", str(folder)]), highlight=False)
        return
    saved = _train(asked, folder, resume=resume, device=device)
    say(f"The learner is saved in {saved.folder}. To score it on classes that it has not seen:")
    console.print(f"{_typed()} {shlex.join(['evaluate', str(folder)])}", highlight=False)


@app.command()
def evaluate(
    context: typer.Context,
    saved: Annotated[str, typer.Argument(help="A run, a saved learner's folder, a shipped learner, or `nearest`.")],
    data: Annotated[str | None, typer.Option(help="omniglot, sinusoids, tables or a folder. Default: the data it was trained on.")] = None,
    split: Annotated[str | None, typer.Option(help="NAME, NAME/PART or PART. Default: the test part of its own split.")] = None,
    way: _Way = 5,
    shot: Annotated[int, typer.Option(help="Support items per class.")] = 1,
    query: _Query = 15,
    episodes: Annotated[int, typer.Option(help="Number of episodes.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the episode stream.")] = 0,
    nearness: _Nearness = "any",
    transductive: Annotated[bool, typer.Option("--transductive", help="Answer the queries of an episode together.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="lake: Lake's 20 fixed runs. lake_random: by random drawers. mann: sequences, scored by presentation."),
    ] = None,
    refine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="soft_k_means or optimal_transport: refine the answers together; implies --transductive."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Gradient steps to answer, for learners that use them. Default: its own number.")
    ] = None,
    augment: Annotated[str, typer.Option(help="quarter_turns or mirror: turn or mirror classes at random.")] = "none",
    as_json: _Json = False,
    report: Annotated[Path | None, typer.Option(help="Write a report with pictures into this folder.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the scores, or an optimiser's loss curves, into this PNG file.")] = None,
    device: _Device = "auto",
) -> None:
    """Score a learner on episodes of classes that it has not seen: mean accuracy with its 95 % interval.

    A learned optimiser is set against hand-made ones on functions that it has not seen: ten seeds from --seed on, --steps steps, and the
    kinds of functions that --data names (several with commas) instead of those it was trained on.
    """
    from kshot.episodes.shape import EpisodeShape
    from kshot.saved.shipped import find_optimizer
    from kshot.terminal import say, show_results
    from kshot.workflows.lake_challenge import error_counts, in_words, random_in_words
    from kshot.workflows.named_learners import open_learner
    from kshot.workflows.question import PROTOCOLS, Question

    check_plot(plot, "scores.png")
    if (folder := find_optimizer(saved)) is not None:
        learners_own = "split way shot query episodes nearness transductive protocol refine augment report device"
        refuse_given(context, f"{saved} is a learned optimiser, which minimises functions and sees no episodes", learners_own)
        _evaluate_optimizer(folder, data, steps, seed, as_json=as_json, plot=plot)
        return
    if protocol not in (None, *PROTOCOLS):
        raise RecipeError(f"there is no protocol {protocol!r}.{known_ones(protocol, PROTOCOLS)} Without the flag, episodes are drawn.")
    opened = open_learner(saved)
    if protocol == "lake":
        refuse_given(context, "Lake's 20 runs are fixed", "data split way shot query episodes seed nearness augment")
    if protocol == "lake_random":
        refuse_given(context, "Lake's tasks have 20 ways, one shot and one query", "data split way shot query nearness augment")
    mode = "transductive" if transductive or refine else "inductive"
    shape = EpisodeShape(way, shot, query, nearness=nearness, augment=augment)  # type: ignore[arg-type]  # EpisodeShape checks the word
    if protocol == "mann":
        refuse_given(context, "the protocol mann shows each class ten times in a sequence", "shot query transductive refine steps report")
        presentations = _sequences(opened, Question(data, split, shape, episodes, seed, protocol="mann"), device)
        if as_json:
            _print_json(presentations.as_dict())
        else:
            show_results(presentations, saved)
        return
    shape, notes = fitted(context, shape, [opened])
    question = Question(data, split, shape, episodes, seed, mode, protocol or "episodes", refine, steps)  # type: ignore[arg-type]
    results, page = _evaluate(opened, question, device, report=report, notes=notes)
    if plot is not None:
        results.plot(path=plot)
    if as_json:
        _print_json(results.as_dict() | (error_counts(results) if protocol == "lake" else {}))
    else:
        show_results(results, saved)
        if protocol == "lake":
            say(in_words(results))
        if protocol == "lake_random":
            say(random_in_words(results))
    if page is not None:
        say(f"The report with its pictures is {page}")
    if plot is not None:
        say(f"The picture is {plot}")


@app.command()
def show(
    saved: Annotated[str, typer.Argument(help="A run, a saved learner's or learned optimiser's folder, or the name of a shipped one.")],
    as_json: _Json = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the course of its training into this PNG file.")] = None,
) -> None:
    """Describe a saved learner or learned optimiser: what it is, what it was trained on, and how training went."""
    from kshot.results.show.plot_learning import plot_learning
    from kshot.terminal import say, show_rows
    from kshot.workflows.description import describe_saved

    check_plot(plot, "training.png")
    description = describe_saved(saved)
    if plot is not None:
        plot_learning(
            description.required_history(),
            plot,
            score_name=description.score,
            higher_is_better=description.higher_is_better,
            chance=description.chance,
            trained_on=description.trained_on,
        )
    if as_json:
        _print_json(description.as_dict())
    else:
        show_rows(description.rows, saved)
    if plot is not None:
        say(f"The picture is {plot}")


@app.command()
def compare(
    context: typer.Context,
    learners: Annotated[list[str], typer.Argument(metavar="LEARNER…", help="Runs, folders, shipped learners, recipes, or `nearest`.")],
    data: Annotated[str | None, typer.Option(help="omniglot, sinusoids, tables or a folder. Default: the one they learned.")] = None,
    split: Annotated[str | None, typer.Option(help="NAME, NAME/PART or PART. Default: the test part of their own split.")] = None,
    way: _Way = 5,
    shot: Annotated[int, typer.Option(help="Support items per class.")] = 1,
    shots: Annotated[
        str | None, typer.Option(metavar="K,K,…", help="Several numbers of shots for a shot curve, for example 1,2,5,10.")
    ] = None,
    query: _Query = 15,
    episodes: Annotated[int, typer.Option(help="Number of episodes for each number of shots.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the episode stream.")] = 0,
    transductive: Annotated[bool, typer.Option("--transductive", help="Answer the queries of an episode together.")] = False,
    as_json: _Json = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the comparison into this PNG file.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs of recipes that are not trained yet.")] = Path("runs"),
    device: _Device = "auto",
) -> None:
    """Score learners on the same episodes: which one is better, by how much, at what cost. Recipes are trained first."""
    from kshot.allocator import keep_freed_memory
    from kshot.device import pick_device
    from kshot.episodes.shape import EpisodeShape
    from kshot.terminal import counting, say, show_comparison
    from kshot.workflows.named_learners import find_entrants
    from kshot.workflows.question import Question
    from kshot.workflows.same_test import compare_entrants, same_test

    if shots is not None and shot != 1:
        raise RecipeError(f"--shot {shot} and --shots {shots} contradict each other. Give one of them.")
    counts = None if shots is None else numbers_of(shots)
    check_plot(plot, "comparison.png")
    where = pick_device(device)
    keep_freed_memory()
    entrants = find_entrants(learners, out, device)
    saved = {name: entrant.saved for name, entrant in entrants.items()}
    mode: Mode = "transductive" if transductive else "inductive"
    shape, notes = fitted(context, EpisodeShape(way, max(counts or [shot]), query), list(saved.values()))
    test = same_test(saved, Question(data, split, replace(shape, shot=shot), episodes, seed, mode), counts)
    for note in notes:
        say(f"Note: {note}")
    for name, entrant in entrants.items():
        if (run := entrant.first) is not None:
            goes_on = " is not fully trained; training continues" if run.resume else " is not trained yet; it is trained first"
            say(f"The recipe {name}{goes_on}, in {run.folder}. Ctrl-C keeps what is done, and the same command continues it.")
            saved[name] = _train(run.recipe, run.folder, resume=run.resume, device=device, again="the same command")
    with counting("episodes", len(saved) * sum(map(len, test.sets))) as progress:
        comparison = compare_entrants(saved, test, mode=mode, device=where, progress=progress)
    if plot is not None:
        comparison.plot(path=plot)
    if as_json:
        _print_json(comparison.as_dict())
    else:
        show_comparison(comparison)
    if plot is not None:
        say(f"The picture is {plot}")


@app.command("inspect")
def inspect_tasks(
    context: typer.Context,
    saved: Annotated[str, typer.Argument(help="A run, a saved learner's folder, a shipped learner, or `nearest`.")],
    data: Annotated[str | None, typer.Option(help="omniglot, sinusoids, tables or a folder. Default: the data it was trained on.")] = None,
    split: Annotated[str | None, typer.Option(help="NAME, NAME/PART or PART. Default: the test part of its own split.")] = None,
    way: _Way = 5,
    shot: Annotated[int, typer.Option(help="Support items per class.")] = 1,
    query: _Query = 15,
    episodes: Annotated[int, typer.Option(help="Number of episodes.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the episode stream.")] = 0,
    nearness: _Nearness = "any",
    transductive: Annotated[bool, typer.Option("--transductive", help="Answer the queries of an episode together.")] = False,
    as_json: _Json = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the findings into this PNG file.")] = None,
    device: _Device = "auto",
) -> None:
    """Inspect a learner's tasks: hard classes, confused pairs, hard episodes, and the distance of its classes from training."""
    from kshot.allocator import keep_freed_memory
    from kshot.device import pick_device
    from kshot.episodes.shape import EpisodeShape
    from kshot.results.score.answers import answer_episodes
    from kshot.results.show.plot_tasks import plot_tasks
    from kshot.terminal import counting, say, show_tasks
    from kshot.workflows.inspection import asked_part, known_parts, measure_shifts, report_tasks
    from kshot.workflows.named_learners import open_learner
    from kshot.workflows.question import Question, ask, cautions

    check_plot(plot, "tasks.png")
    where = pick_device(device)
    keep_freed_memory()
    opened = open_learner(saved)
    mode: Mode = "transductive" if transductive else "inductive"
    shape = EpisodeShape(way, shot, query, nearness=nearness)  # type: ignore[arg-type]  # EpisodeShape checks the word
    shape, smaller = fitted(context, shape, [opened])
    test = ask(opened, Question(data, split, shape, episodes, seed, mode))
    for note in (*smaller, *cautions(opened, test)):
        say(f"Note: {note}")
    with counting("episodes", len(test)) as progress:
        answers, results = answer_episodes(opened.learner, test, mode=mode, device=where, progress=progress)
    parts, missing = known_parts(opened, test)
    with counting("items", 2 * sum(part.items for part in parts)) as progress:
        shifts, notes = measure_shifts(opened, parts, progress)
    report = report_tasks(test, answers, results, shifts, asked_part(parts, test), (*missing, *notes))
    if plot is not None:
        plot_tasks(report, test, plot)
    if as_json:
        _print_json(report.as_dict())
    else:
        show_tasks(report, saved)
    if plot is not None:
        say(f"The picture is {plot}")


@app.command()
def predict(
    saved: Annotated[str, typer.Argument(help="A run, a saved learner's folder, or the name of a shipped learner.")],
    pictures: Annotated[list[Path], typer.Argument(metavar="QUERY…", help="Pictures to label.")],
    support: Annotated[Path, typer.Option(help="A folder with one folder per class, each with one or more pictures.")],
    as_json: _Json = False,
    device: _Device = "auto",
) -> None:
    """Label pictures from a few examples of each class."""
    from kshot.device import pick_device
    from kshot.tasks.classifier import Classifier
    from kshot.terminal import show_predictions

    classifier = Classifier(saved, support, device=str(pick_device(device)))
    predictions = classifier.predict(pictures)
    if as_json:
        answers = [
            {"picture": str(picture), "label": answer.label, "probability": answer.probability, "probabilities": dict(answer.probabilities)}
            for picture, answer in zip(pictures, predictions, strict=True)
        ]
        _print_json({"classes": list(classifier.classes), "predictions": answers})
        return
    show_predictions(pictures, predictions)


@app.command()
def recipes(as_json: _Json = False) -> None:
    """List the built-in recipes, each with the published number and the number measured here."""
    from kshot.terminal import show_recipes
    from kshot.workflows.recipe_results import recipe_rows

    rows = recipe_rows()
    if as_json:
        _print_json({"recipes": rows})
    else:
        show_recipes(rows)


def _print_json(value: dict[str, Any]) -> None:
    """Print strict JSON in ASCII, which every stream can carry: `null` in place of what is not a finite number."""
    print(json.dumps(finite_or_none(value), allow_nan=False))


def main() -> None:
    """Run the command, and end the process with its exit code."""
    import kshot.terminal  # noqa: F401  # while Ctrl-C still leaves at once

    on_interrupt(raise_once)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a character that the stream does not have is no reason to fail
    try:
        code = _exit_code()
    except BrokenPipeError:  # while a message was written
        code = _UNREAD
    sys.exit(_flushed(code))


def _flushed(code: int) -> int:
    """Write what is left of the output, and return the exit code. Python, which would try again at its end, finds nothing to do."""
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            if descriptor == 1:
                code = _UNREAD if isinstance(error, BrokenPipeError) else code or _unwritten(error)
    return code


def _unwritten(error: Exception) -> int:
    from kshot.terminal import complain

    complain(f"cannot write the output: {error}. What the command has saved is whole.")
    return 2


def _refused(error: OSError) -> str:
    """Say in words which path or stream the system refused; empty if the error names none, which is a bug in kshot."""
    try:
        os.getcwd()
    except OSError:
        return "the working directory does not exist any more. Change to another folder."
    reason = error.strerror or error
    if error.filename is not None:
        return f"cannot use {os.fsdecode(error.filename)}: {reason}. Check the path and its permissions."
    full = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
    return f"cannot write the output: {reason}. What the command has saved is whole." if error.errno in full else ""


def _exit_code() -> int:
    from kshot.terminal import complain, say

    try:
        result = app(standalone_mode=False)
        if result == STOPPED and interrupted():  # typer has turned the interrupt into this code
            say("Stopped.")
        return result if isinstance(result, int) else 0
    except typer.Exit as leave:
        return int(leave.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        say("Stopped.")
        return STOPPED
    except (SystemExit, ImportError) as error:  # of rich and click, for a broken pipe; of an import that Ctrl-C broke
        if caused_by(error, BrokenPipeError):
            return _UNREAD
        if caused_by(error, KeyboardInterrupt):
            say("Stopped.")
            return STOPPED
        raise
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            return _UNREAD
        if words := _refused(error):
            complain(words)
            return 2
        raise
    except _WrongUse as wrong:
        wrong.show()
        return 2
    except KshotError as error:
        complain(str(error))
        return 2


def _typed() -> str:
    """Return this command as it can be typed here: `kshot`, or with its path where no `kshot` is found (`.venv/bin/kshot`)."""
    if shutil.which("kshot") is not None:
        return "kshot"
    started = Path(sys.argv[0])
    return shlex.join([sys.executable, "-m", "kshot"] if started.suffix == ".py" else [str(started)])


def _train(recipe: "Recipe", folder: Path, *, resume: bool, device: str, again: str = "the same command and --resume") -> "Saved":
    """Train with a progress bar. The first Ctrl-C saves the state and ends with exit code 130."""
    from kshot.allocator import keep_freed_memory
    from kshot.episodes.shape import chance
    from kshot.terminal import TrainingBar, interrupts, say
    from kshot.workflows.experiment import command_line, prepare, run

    keep_freed_memory()
    ready = prepare(recipe, folder, resume=resume, device=device)
    for note in ready.notes:
        say(note)
    looks = len(ready.validation) * max(1, len(recipe.validation.steps))
    guessing = chance(ready.validation.shape.way) if ready.spec.family == "classification" else None
    bar = TrainingBar(ready.plan.updates, ready.state.update, ready.stream.size, looks, ready.stream.source, guessing)
    with interrupts() as stop, bar:
        command = command_line(sys.argv[1:])
        saved = run(ready, command=command, on_step=bar.step, on_validation=bar.validating, stop=stop)
    if saved is None:
        say(f"Stopped after update {ready.state.update}; the state is saved. To continue, use {again}.")
        raise typer.Exit(STOPPED)
    return saved


def _train_optimizer(recipe: "Recipe", folder: Path, *, resume: bool, device: str) -> "SavedOptimizer":
    """Train a learned optimiser as `_train` trains a learner."""
    from kshot.terminal import TrainingBar, interrupts, say
    from kshot.workflows.experiment import command_line
    from kshot.workflows.optimizer_experiment import prepare_optimizer, run_optimizer

    ready = prepare_optimizer(recipe, folder, resume=resume, device=device)
    for note in ready.notes:
        say(note)
    looks = len(recipe.optimizer.functions) * recipe.validation.episodes
    bar = TrainingBar(ready.plan.updates, ready.state.update, ready.stream.size, looks, "functions")
    with interrupts() as stop, bar:
        command = command_line(sys.argv[1:])
        saved = run_optimizer(ready, command=command, on_step=bar.step, on_validation=bar.validating, stop=stop)
    if saved is None:
        say(f"Stopped after update {ready.state.update}; the state is saved. To continue, use the same command and --resume.")
        raise typer.Exit(130)
    return saved


def _evaluate_optimizer(folder: Path, data: str | None, steps: int | None, seed: int, *, as_json: bool, plot: Path | None) -> None:
    """Set a learned optimiser against hand-made ones, with a progress bar."""
    from kshot.results.score.loss_curves import measure_curves, trajectories_of
    from kshot.results.score.plot_curves import plot_curves
    from kshot.saved.optimizer_file import load_optimizer
    from kshot.terminal import counting, say, show_curves
    from kshot.workflows.optimizer_experiment import kind_named

    opened = load_optimizer(folder)
    asked = data.split(",") if data is not None else opened.record["recipe"]["optimizer"]["functions"]
    kinds = {name: kind_named(name) for name in asked}
    seeds = range(seed, seed + 10)
    with counting("trajectories", trajectories_of(len(kinds), len(seeds))) as progress:
        results = measure_curves(opened.optimizer, kinds, steps=steps, seeds=seeds, progress=progress)
    if plot is not None:
        plot_curves(results, plot)
    if as_json:
        _print_json(results.as_dict())
    else:
        show_curves(results)
    if plot is not None:
        say(f"The picture is {plot}")


def _evaluate(
    saved: "Saved", question: "Question", device: str, *, report: Path | None = None, title: str = "", notes: Sequence[str] = ()
) -> "tuple[Results, Path | None]":
    """Score a learner with a progress bar, and write a report if one is asked for."""
    from kshot.figure import require_matplotlib
    from kshot.learners.refinement.refined import refinement_named
    from kshot.results.show.report import write_report
    from kshot.terminal import counting, say
    from kshot.workflows.description import trained_on, validation_chance
    from kshot.workflows.experiment import command_line
    from kshot.workflows.question import answer, ask, asked_learner, cautions

    learner = asked_learner(saved, question.refine, question.steps)
    if question.refine is not None and (assumption := refinement_named(question.refine).assumption):
        say(f"Note: {assumption}")
    if report is not None:  # check before the long work that a report can be written
        require_matplotlib()
        if look(report, RecipeError) not in ("folder", "nothing"):
            raise RecipeError(f"{report} is a file, but a report needs a folder. Choose another name.")
    episodes = ask(saved, question)
    for note in (*notes, *cautions(saved, episodes)):
        say(f"Note: {note}")
    with counting("episodes", len(episodes)) as progress:
        results = answer(saved, episodes, question.mode, device, progress, refine=question.refine, steps=question.steps)
    if report is None:
        return results, None
    page = write_report(
        report,
        results,
        episodes,
        learner,
        history=saved.record.get("validation", ()),
        trained_on=trained_on(saved.record),
        validation_chance=validation_chance(saved),
        title=title,
        command=command_line(sys.argv[1:]),
    )
    return results, page


def _sequences(saved: "Saved", question: "Question", device: str) -> "Presentations":
    """Score a learner on sequences with a progress bar."""
    from kshot.terminal import counting, say
    from kshot.workflows.mann_protocol import answer_sequences
    from kshot.workflows.question import ask, cautions

    episodes = ask(saved, question)
    for note in cautions(saved, episodes):
        say(f"Note: {note}")
    with counting("episodes", len(episodes)) as progress:
        return answer_sequences(saved, episodes, device, progress)


if __name__ == "__main__":
    main()
