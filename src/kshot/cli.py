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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kshot.embed_command import embed
from kshot.errors import KshotError, RecipeError, known_ones
from kshot.export_command import export
from kshot.flags import check_plot, fitted, refuse_given, shot_counts
from kshot.interruption import STOPPED, caused_by, interrupted, on_interrupt, raise_once
from kshot.label_commands import doubt, suggest
from kshot.regular_file import look
from kshot.serve_commands import keys, serve
from kshot.task_commands import add, estimate, fit, predict, remove, rename, show_model

if TYPE_CHECKING:
    from kshot.learners.learner import Mode

app = typer.Typer(
    name="kshot",
    help="Meta-learning: models that learn a new task from a few examples.",
    no_args_is_help=True,
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
_Shots = Annotated[str | None, typer.Option(metavar="K,K,…", help="Several numbers of shots for a shot curve, for example 1,2,5,10.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …; auto uses a GPU if there is one.")]


def _print_version(asked: bool) -> None:
    from kshot.terminal import print_line
    from kshot.version import VERSION

    if asked:
        print_line(f"kshot {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and nothing else.", callback=_print_version, is_eager=True)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors, but no messages, notes and bars.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the package's log too.")] = False,
) -> None:
    from kshot.passes import watch
    from kshot.terminal import counting, set_loudness

    if quiet and verbose:
        raise RecipeError("--quiet and --verbose contradict each other. Give one of them.")
    set_loudness("quiet" if quiet else "verbose" if verbose else "usual")
    watch(counting)


for _command in (fit, predict, add, remove, rename, estimate, suggest, doubt, embed, export, serve):
    app.command()(_command)
app.add_typer(keys, name="keys")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the run, the report and the pictures.")] = Path("demo"),
    device: _Device = "auto",
) -> None:
    """Train a prototypical network on Omniglot in a few minutes, test it on 1,000 held-out episodes, and show a report."""
    from kshot.episodes.shape import EpisodeShape
    from kshot.running import evaluate_learner, train_learner
    from kshot.saved.shipped import open_saved
    from kshot.tables import show_results
    from kshot.terminal import say
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
        saved = train_learner(read_recipe("omniglot-demo"), run_folder, resume=look(run_folder) != "nothing", device=device)
    question = Question(shape=EpisodeShape(5, 1, 15), episodes=1000)
    results, page = evaluate_learner(saved, question, device, report=out, title="kshot demo")
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
    from kshot.running import train_learner, train_optimizer
    from kshot.terminal import print_line, say
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
        trained = train_optimizer(asked, folder, resume=resume, device=device)
        say(f"The learned optimiser is saved in {trained.folder}. To set it against hand-made ones on functions that it has not seen:")
        print_line(shlex.join(["kshot", "evaluate", str(folder)]))
        return
    saved = train_learner(asked, folder, resume=resume, device=device)
    say(f"The learner is saved in {saved.folder}. To score it on classes that it has not seen:")
    print_line(f"{_typed()} {shlex.join(['evaluate', str(folder)])}")


@app.command()
def evaluate(
    context: typer.Context,
    saved: Annotated[str, typer.Argument(help="A run, a saved learner's folder, a shipped learner, or `nearest`.")],
    data: Annotated[
        str | None, typer.Option(help="A word (omniglot, sinusoids, tables), a folder or an .npz file. Default: what it learned from.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="NAME, NAME/PART or PART. Default: the test part of its own split.")] = None,
    way: _Way = 5,
    shot: Annotated[int, typer.Option(help="Support items per class.")] = 1,
    shots: _Shots = None,
    query: _Query = 15,
    episodes: Annotated[int, typer.Option(help="Number of episodes, for each number of shots.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the episode stream.")] = 0,
    nearness: _Nearness = "any",
    transductive: Annotated[bool, typer.Option("--transductive", help="Answer the queries of an episode together.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="lake: Lake's 20 fixed runs. lake_random: by random drawers. mann: sequences, scored by presentation."),
    ] = None,
    refine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="soft_k_means, optimal_transport, bd_cspn or tim: refine all answers. Implies --transductive."),
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
    from kshot.running import evaluate_curve, evaluate_learner, evaluate_optimizer, evaluate_sequences
    from kshot.saved.shipped import find_optimizer
    from kshot.tables import show_results
    from kshot.terminal import print_json, say
    from kshot.workflows.lake_challenge import error_counts, in_words, random_in_words
    from kshot.workflows.named_learners import open_learner
    from kshot.workflows.question import PROTOCOLS, Question

    check_plot(plot, "scores.png")
    counts = shot_counts(context, shot, shots)
    if (folder := find_optimizer(saved)) is not None:
        learners_own = "split way shot shots query episodes nearness transductive protocol refine augment report device"
        refuse_given(context, f"{saved} is a learned optimiser, which minimises functions and sees no episodes", learners_own)
        evaluate_optimizer(folder, data, steps, seed, as_json=as_json, plot=plot)
        return
    if protocol not in (None, *PROTOCOLS):
        raise RecipeError(f"there is no protocol {protocol!r}.{known_ones(protocol, PROTOCOLS)} Without the flag, episodes are drawn.")
    opened = open_learner(saved)
    if protocol == "lake":
        refuse_given(context, "Lake's 20 runs are fixed", "data split way shot shots query episodes seed nearness augment")
    if protocol == "lake_random":
        refuse_given(context, "Lake's tasks have 20 ways, one shot and one query", "data split way shot query nearness augment")
    mode = "transductive" if transductive or refine else "inductive"
    shape = EpisodeShape(way, max(counts or [shot]), query, nearness=nearness, augment=augment)  # type: ignore[arg-type]  # EpisodeShape checks the word
    if protocol == "mann":
        refuse_given(
            context, "the protocol mann shows each class ten times in a sequence", "shot shots query transductive refine steps report"
        )
        presentations = evaluate_sequences(opened, Question(data, split, shape, episodes, seed, protocol="mann"), device)
        if as_json:
            print_json(presentations.as_dict())
        else:
            show_results(presentations, saved)
        return
    shape, notes = fitted(context, shape, [opened])
    question = Question(data, split, shape, episodes, seed, mode, protocol or "episodes", refine, steps)  # type: ignore[arg-type]
    if counts is not None:
        refuse_given(context, "with --shots, kshot compare draws the curve, and a report is of one number of shots", "report plot")
        curve = evaluate_curve(opened, question, counts, device, notes)
        if as_json:
            print_json({"curve": [results.as_dict() for results in curve]})
        else:
            for results in curve:
                show_results(results, saved)
        return
    results, page = evaluate_learner(opened, question, device, report=report, notes=notes)
    if plot is not None:
        results.plot(path=plot)
    if as_json:
        print_json(results.as_dict() | (error_counts(results) if protocol == "lake" else {}))
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
    context: typer.Context,
    saved: Annotated[str, typer.Argument(help="A model, a run, the folder of a saved learner or learned optimiser, or a shipped one.")],
    as_json: _Json = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the course of its training into this PNG file.")] = None,
) -> None:
    """Describe a model, a saved learner or a learned optimiser: what it is, what it learned from, and how well it does."""
    from kshot.tasks.model_record import is_model

    if is_model(saved):
        refuse_given(context, f"{saved} is a model, whose fitting has no course", "plot")
        show_model(saved, as_json=as_json)
        return
    from kshot.results.show.plot_learning import plot_learning
    from kshot.tables import show_rows
    from kshot.terminal import print_json, say
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
        print_json(description.as_dict())
    else:
        show_rows(description.rows, saved)
    if plot is not None:
        say(f"The picture is {plot}")


@app.command()
def compare(
    context: typer.Context,
    learners: Annotated[list[str], typer.Argument(metavar="LEARNER…", help="Runs, folders, shipped learners, recipes, or `nearest`.")],
    data: Annotated[
        str | None, typer.Option(help="A word (omniglot, sinusoids, tables), a folder or an .npz file. Default: what they learned from.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="NAME, NAME/PART or PART. Default: the test part of their own split.")] = None,
    way: _Way = 5,
    shot: Annotated[int, typer.Option(help="Support items per class.")] = 1,
    shots: _Shots = None,
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
    from kshot.running import train_learner
    from kshot.tables import show_comparison
    from kshot.terminal import counting, print_json, say
    from kshot.workflows.named_learners import find_entrants
    from kshot.workflows.question import Question
    from kshot.workflows.same_test import compare_entrants, same_test

    counts = shot_counts(context, shot, shots)
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
            saved[name] = train_learner(run.recipe, run.folder, resume=run.resume, device=device, again="the same command")
    with counting("episodes", len(saved) * sum(map(len, test.sets))) as progress:
        comparison = compare_entrants(saved, test, mode=mode, device=where, progress=progress)
    if plot is not None:
        comparison.plot(path=plot)
    if as_json:
        print_json(comparison.as_dict())
    else:
        show_comparison(comparison)
    if plot is not None:
        say(f"The picture is {plot}")


@app.command("inspect")
def inspect_tasks(
    context: typer.Context,
    saved: Annotated[str, typer.Argument(help="A run, a saved learner's folder, a shipped learner, or `nearest`.")],
    data: Annotated[
        str | None, typer.Option(help="A word (omniglot, sinusoids, tables), a folder or an .npz file. Default: what it learned from.")
    ] = None,
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
    from kshot.tables import show_tasks
    from kshot.terminal import counting, print_json, say
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
        print_json(report.as_dict())
    else:
        show_tasks(report, saved)
    if plot is not None:
        say(f"The picture is {plot}")


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Show all numbers of this recipe.")] = None,
    as_json: _Json = False,
) -> None:
    """List the built-in recipes; with a name, its published numbers and those measured here."""
    from kshot.tables import show_recipe_list, show_recipes
    from kshot.terminal import print_json
    from kshot.workflows.recipe_results import recipe_rows

    rows = recipe_rows()
    if name is not None:
        chosen = [row for row in rows if row["name"] == name]
        if not chosen:
            raise RecipeError(f"there is no built-in recipe {name!r}.{known_ones(name, [row['name'] for row in rows])}")
        rows = chosen
    if as_json:
        print_json({"recipes": rows})
    elif name is not None:
        show_recipes(rows)
    else:
        show_recipe_list(rows)


def main() -> None:
    """Run the command, and end the process with its exit code."""
    import kshot.terminal  # noqa: F401  # while Ctrl-C still leaves at once

    on_interrupt(raise_once)
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
    from kshot.printable import printable_lines
    from kshot.terminal import complain, say

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character that the stream does not have is no reason to fail
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
        wrong.message = printable_lines(wrong.message)
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


if __name__ == "__main__":
    main()
