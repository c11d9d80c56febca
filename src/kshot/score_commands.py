"""The commands that score learners on episodes: `kshot evaluate`, `kshot compare`, `kshot inspect`.

Each reads its flags, asks a question (`kshot.workflows.question`), and shows the results. Next: `kshot.cli`, which lists them.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kshot.errors import RecipeError, known_ones
from kshot.flags import Device, Json, check_plot, fitted, refuse_given, shot_counts

if TYPE_CHECKING:
    from kshot.learners.learner import Mode

_Nearness = Annotated[
    str, typer.Option(help="any; near: classes that lie near each other by their pixels (hard); far: classes far apart (easy).")
]
_Data = Annotated[
    str | None, typer.Option(help="A word (omniglot, sinusoids, tables), a folder or an .npz file. Default: what it learned from.")
]
_Split = Annotated[str | None, typer.Option(help="NAME, NAME/PART or PART. Default: the test part of its own split.")]
_Way = Annotated[int, typer.Option(help="Classes per episode. Default: fewer if the learner's own test part has fewer.")]
_Shot = Annotated[int, typer.Option(help="Support items per class.")]
_Query = Annotated[int, typer.Option(help="Query items per class. Default: fewer if the learner's own test part has fewer.")]
_Shots = Annotated[str | None, typer.Option(metavar="K,K,…", help="Several numbers of shots for a shot curve, for example 1,2,5,10.")]
_Seed = Annotated[int, typer.Option(help="Seed of the episode stream.")]
_Transductive = Annotated[bool, typer.Option("--transductive", help="Answer the queries of an episode together.")]


def evaluate(
    context: typer.Context,
    saved: Annotated[str, typer.Argument(help="A run, a saved learner's folder, a shipped learner, or `nearest`.")],
    data: _Data = None,
    split: _Split = None,
    way: _Way = 5,
    shot: _Shot = 1,
    shots: _Shots = None,
    query: _Query = 15,
    episodes: Annotated[int, typer.Option(help="Number of episodes, for each number of shots.")] = 1000,
    seed: _Seed = 0,
    nearness: _Nearness = "any",
    transductive: _Transductive = False,
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
    as_json: Json = False,
    report: Annotated[Path | None, typer.Option(help="Write a report with pictures into this folder.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the scores, or an optimiser's loss curves, into this PNG file.")] = None,
    device: Device = "auto",
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


def compare(
    context: typer.Context,
    learners: Annotated[list[str], typer.Argument(metavar="LEARNER…", help="Runs, folders, shipped learners, recipes, or `nearest`.")],
    data: Annotated[
        str | None, typer.Option(help="A word (omniglot, sinusoids, tables), a folder or an .npz file. Default: what they learned from.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="NAME, NAME/PART or PART. Default: the test part of their own split.")] = None,
    way: _Way = 5,
    shot: _Shot = 1,
    shots: _Shots = None,
    query: _Query = 15,
    episodes: Annotated[int, typer.Option(help="Number of episodes for each number of shots.")] = 1000,
    seed: _Seed = 0,
    transductive: _Transductive = False,
    as_json: Json = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the comparison into this PNG file.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs of recipes that are not trained yet.")] = Path("runs"),
    device: Device = "auto",
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


def inspect_tasks(
    context: typer.Context,
    saved: Annotated[str, typer.Argument(help="A run, a saved learner's folder, a shipped learner, or `nearest`.")],
    data: _Data = None,
    split: _Split = None,
    way: _Way = 5,
    shot: _Shot = 1,
    query: _Query = 15,
    episodes: Annotated[int, typer.Option(help="Number of episodes.")] = 1000,
    seed: _Seed = 0,
    nearness: _Nearness = "any",
    transductive: _Transductive = False,
    as_json: Json = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the findings into this PNG file.")] = None,
    device: Device = "auto",
) -> None:
    """Inspect a learner's tasks: hard classes, confused pairs, hard episodes, and the distance of its classes from training."""
    from kshot.allocator import keep_freed_memory
    from kshot.device import pick_device
    from kshot.episodes.shape import EpisodeShape
    from kshot.results.score.answers import answer_episodes
    from kshot.results.show.plot_tasks import plot_tasks
    from kshot.tables import show_tasks
    from kshot.terminal import counting, print_json, say
    from kshot.workflows.inspection import asked_part, known_parts, measure_shifts, near_copy_notes, report_tasks
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
    report = report_tasks(test, answers, results, shifts, asked_part(parts, test), (*missing, *notes, *near_copy_notes(parts, test)))
    if plot is not None:
        plot_tasks(report, test, plot)
    if as_json:
        print_json(report.as_dict())
    else:
        show_tasks(report, saved)
    if plot is not None:
        say(f"The picture is {plot}")
