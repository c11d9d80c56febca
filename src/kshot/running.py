"""The long works of the command, each with a bar on standard error: training, tuning and scoring. `kshot.labelling` is the third.

In: what the commands have read from their flags. Out: what they show at the end. PyTorch is imported inside the functions, as in the
commands. Next: `kshot.train_commands`, `kshot.score_commands`, `kshot.fit_command`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kshot.errors import RecipeError
from kshot.interruption import STOPPED
from kshot.regular_file import look

if TYPE_CHECKING:
    from kshot.encoders.encoder import Encoder, PortableEncoder
    from kshot.results.score.presentations import Presentations
    from kshot.results.score.result import Results
    from kshot.saved.folder import Saved
    from kshot.saved.optimizer_file import SavedOptimizer
    from kshot.tasks.descriptions import Sentences
    from kshot.tasks.examples import Examples
    from kshot.tasks.fit import Fitted
    from kshot.workflows.question import Question
    from kshot.workflows.recipe import Recipe


def train_learner(recipe: "Recipe", folder: Path, *, resume: bool, device: str, again: str = "the same command and --resume") -> "Saved":
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


def train_optimizer(recipe: "Recipe", folder: Path, *, resume: bool, device: str) -> "SavedOptimizer":
    """Train a learned optimiser as `train_learner` trains a learner."""
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
        raise typer.Exit(STOPPED)
    return saved


def evaluate_optimizer(folder: Path, data: str | None, steps: int | None, seed: int, *, as_json: bool, plot: Path | None) -> None:
    """Set a learned optimiser against hand-made ones, with a progress bar."""
    from kshot.results.score.loss_curves import measure_curves, trajectories_of
    from kshot.results.score.plot_curves import plot_curves
    from kshot.saved.optimizer_file import load_optimizer
    from kshot.tables import show_curves
    from kshot.terminal import counting, print_json, say
    from kshot.workflows.optimizer_experiment import kind_named

    opened = load_optimizer(folder)
    if data is None and "recipe" not in opened.record:
        raise RecipeError(f"the record of {folder} does not say what it was trained on. Name kinds of functions: --data quadratics.")
    asked = data.split(",") if data is not None else opened.record["recipe"]["optimizer"]["functions"]
    kinds = {name: kind_named(name) for name in asked}
    seeds = range(seed, seed + 10)
    with counting("trajectories", trajectories_of(len(kinds), len(seeds))) as progress:
        results = measure_curves(opened.optimizer, kinds, steps=steps, seeds=seeds, progress=progress)
    if plot is not None:
        plot_curves(results, plot)
    if as_json:
        print_json(results.as_dict())
    else:
        show_curves(results)
    if plot is not None:
        say(f"The picture is {plot}")


def evaluate_learner(
    saved: "Saved", question: "Question", device: str, *, report: Path | None = None, title: str = "", notes: Sequence[str] = ()
) -> "tuple[Results, Path | None]":
    """Score a learner with a progress bar, and write a report if one is asked for."""
    from kshot.figure import require_matplotlib
    from kshot.learners.refinement.refined import refinement_named
    from kshot.results.show.report import write_report
    from kshot.terminal import counting, say
    from kshot.workflows.description import trained_on, validation_chance
    from kshot.workflows.distance import farther_note
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
    for note in (*notes, *cautions(saved, episodes), *farther_note(saved, episodes)):
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


def evaluate_curve(saved: "Saved", question: "Question", shots: Sequence[int], device: str, notes: Sequence[str]) -> "list[Results]":
    """Score a learner with each of several numbers of shots, with a progress bar."""
    from kshot.terminal import counting, say
    from kshot.workflows.distance import farther_note
    from kshot.workflows.question import answer, ask_curve, cautions

    sets = ask_curve(saved, question, shots)
    for note in (*notes, *cautions(saved, sets[0]), *farther_note(saved, sets[0])):
        say(f"Note: {note}")
    with counting("episodes", sum(map(len, sets))) as progress:
        return [answer(saved, one, question.mode, device, progress, refine=question.refine, steps=question.steps) for one in sets]


def evaluate_sequences(saved: "Saved", question: "Question", device: str) -> "Presentations":
    """Score a learner on sequences with a progress bar."""
    from kshot.terminal import counting, say
    from kshot.workflows.mann_protocol import answer_sequences
    from kshot.workflows.question import ask, cautions

    episodes = ask(saved, question)
    for note in cautions(saved, episodes):
        say(f"Note: {note}")
    with counting("episodes", len(episodes)) as progress:
        return answer_sequences(saved, episodes, device, progress)


def fit_with_tuning(
    folder: Path,
    examples: "Examples",
    encoder: "Encoder",
    *,
    head: str | None,
    sentences: "Sentences | None",
    strict: bool,
    resume: bool,
    device: str,
) -> "tuple[Fitted, PortableEncoder | None]":
    """Fit a model and tune its encoder, with progress bars. The first Ctrl-C saves the state and ends with exit code 130.

    Returns:
        What was fitted, and the tuned encoder, if it is kept.
    """
    from kshot.encoders.vector_cache import VectorCache
    from kshot.tasks.model_folder import TUNING
    from kshot.tasks.tune.fit_tuned import Tuning, check_tunable, fit_tuned
    from kshot.tasks.tune.stages import Stopped
    from kshot.terminal import interrupts, say

    check_tunable(examples, encoder)
    with interrupts() as stop:
        tuning = Tuning(device, folder / TUNING, resume, stop)
        try:
            found = fit_tuned(examples, encoder, head=head, sentences=sentences, cache=VectorCache(), strict=strict, tuning=tuning)
        except Stopped as stopped:
            where = f"step {stopped.done:,} of {stopped.total:,}"
            say(f"Stopped after {where}; the state is saved. To continue, use the same command and --resume.")
            raise typer.Exit(STOPPED) from None
    return found.fitted, found.encoder
