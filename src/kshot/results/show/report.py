"""A report for the browser: the result in plain words, what was tested, and pictures.

In: results, the scored episodes and the scored learner. Out: a folder with `report.html`, `results.json` and PNG files. The page needs
nothing but that folder. Next: `kshot.running`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kshot.atomic import finite_or_none, write_json, write_text
from kshot.errors import RecipeError
from kshot.figure import require_matplotlib
from kshot.learners.learner import Learner, with_steps
from kshot.regular_file import look
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.result import Results
from kshot.results.show.plot_embedding import embed_classes, plot_embedding
from kshot.results.show.plot_episodes import letter, plot_episode, sample_episodes, shown_classes
from kshot.results.show.plot_learning import plot_learning, whole_validations
from kshot.results.show.plot_regression import has_curves, plot_regression
from kshot.results.show.report_page import Part, page

PAGE, NUMBERS = "report.html", "results.json"


def write_report(
    folder: Path,
    results: Results,
    episodes: EpisodeSet,
    learner: Learner,
    *,
    history: Sequence[Mapping[str, float]] = (),
    trained_on: str = "",
    validation_chance: float | None = None,
    title: str = "",
    command: str = "",
) -> Path:
    """Write a report. An existing report is replaced; other files stay.

    Args:
        folder: Folder of the report; it is made if missing.
        results: The results that `evaluate` returned.
        episodes: The episodes that were scored.
        learner: The learner that was scored; it stays unchanged.
        history: Validations of its training (`record["validation"]` of a saved learner), for the learning curve.
        trained_on: The data and split of its training, in words: the learning curve is of these, not of the data that were scored.
        validation_chance: Accuracy of guessing in its validations, a fraction; None if it is not known.
        title: Title of the page.
        command: Command that reproduces the result.

    Returns:
        The page, `report.html` in the folder.

    Raises:
        RecipeError: The folder is a file.
        SavedError: The disk refused a file.
        SetupError: matplotlib is not installed; nothing has been written.
    """
    require_matplotlib()
    if look(folder, RecipeError) not in ("folder", "nothing"):
        raise RecipeError(f"{folder} is a file, but a report needs a folder. Choose another name.")
    title = title or f"{type(learner).__name__} on {results.data} {results.split}"
    parts = [_scores(folder, results), _learning(folder, results, history, learner, trained_on, validation_chance)]
    parts += _samples(folder, results, episodes, learner)
    parts.append(_embedding(folder, episodes, learner))
    numbers = {**results.as_dict(), "title": title, "command": command, "scores": results.scores.tolist()}
    write_json(folder / NUMBERS, finite_or_none(numbers))
    write_text(folder / PAGE, page(title, results, parts, command))
    return folder / PAGE


def _scores(folder: Path, results: Results) -> Part:
    results.plot(path=folder / "scores.png")
    percent = results.score_name == "accuracy"
    low, high = (
        f"{value:.4g}{' %' if percent else ''}"
        for value in results.scores[[results.scores.argmin(), results.scores.argmax()]] * (100 if percent else 1)
    )
    return Part(
        f"{results.score_name.capitalize()} over the episodes",
        f"Left: how the scores of the episodes spread, from {low} to {high}; few low bars mean that hard episodes are rare. "
        "Right: the mean after 1, 2, 3 … episodes; once the band is narrow and flat, more episodes would add little.",
        "scores.png",
        f"Histogram of the scores of {len(results.scores)} episodes, and their running mean, which ends at {results.shown}.",
    )


def _learning(folder: Path, results: Results, validations: object, learner: Learner, trained_on: str, chance: float | None) -> Part:
    heading = "Learning curve"
    if not (history := whole_validations(validations)):
        return Part(heading, "The learner has no record of validations during its training, so there is no curve to show.")
    file, higher = folder / "learning_curve.png", learner.family.higher_is_better
    plot_learning(history, file, score_name=results.score_name, higher_is_better=higher, chance=chance, trained_on=trained_on)
    whose = f"The course of the learner's own training, on {trained_on}. " if trained_on else "The course of the learner's own training. "
    return Part(
        heading,
        f"{whose}Above: the score on fixed episodes of the validation classes; the star is the state that was kept. Below: the training "
        "loss, the mean over the updates between two validations. A loss that still falls while the curve above falls as well would be "
        "overfitting.",
        "learning_curve.png",
        f"Validation {results.score_name} and training loss at {len(history)} points of the training.",
    )


def _samples(folder: Path, results: Results, episodes: EpisodeSet, learner: Learner) -> list[Part]:
    heading = "Sample episodes"
    if results.score_name != "accuracy":
        return [_predictions(folder, episodes, learner)]
    parts = []
    for sample in sample_episodes(learner, episodes, results.scores, mode=results.mode):
        file = f"episode_{sample.kind}.png"
        if plot_episode(sample, episodes, folder / file) is None:
            return [Part(heading, "The items of this data set are not pictures, so there is nothing to show.")]
        labels = shown_classes(sample)
        total, number = len(sample.answers), int(sample.drawn.numbers[0])
        some = "" if len(labels) == sample.drawn.way else f" Of {sample.drawn.way} classes, the {len(labels)} with most mistakes are shown."
        red = "red frames are mistakes, with the letter of the class they were taken for"
        red = red if sample.right < total else "every frame is green"
        spoken_of = sorted({*labels, *sample.answers[np.isin(sample.drawn.query_y[0], labels)].tolist()})
        names = "; ".join(f"{letter(label)} = {sample.names[label]}" for label in spoken_of)
        parts.append(
            Part(
                f"The {sample.kind} of {len(episodes):,} episodes (number {number}): {sample.right} of {total} queries right",
                f"Each row is a class: its support pictures, which the learner was shown, then some of its "
                f"queries, mistakes first; {red}.{some} Classes: {names}.",
                file,
                f"Support and query pictures of episode {number}; {sample.right} of {total} queries are answered correctly.",
            )
        )
    return parts


def _predictions(folder: Path, episodes: EpisodeSet, learner: Learner) -> Part:
    heading = "Predictions against the truth"
    if not has_curves(episodes):
        return Part(heading, "These tasks do not have one number per item, so there is no curve to draw.")
    curves = {type(learner).__name__: learner}
    if steps := learner.adapt_steps:
        curves = {"before the first step": with_steps(learner, 0), f"after {steps} step{'' if steps == 1 else 's'}": learner}
    plot_regression(curves, episodes, folder / "predictions.png")
    shown = min(4, len(episodes))
    return Part(
        heading,
        f"The first {shown} of {len(episodes):,} tasks. Triangles are the support items that the learner was shown; the dotted line is "
        "the truth at the queries; each other line is a prediction of the learner. The closer it is to the dotted line, also far from "
        "any triangle, the more the learner knew about such tasks beforehand.",
        "predictions.png",
        f"Curves of {' and '.join(curves)} for {shown} tasks, with support items and the true values of the queries.",
    )


def _embedding(folder: Path, episodes: EpisodeSet, learner: Learner) -> Part:
    heading = "Map of the embedding"
    embedding = embed_classes(learner, episodes)
    if embedding is None:
        return Part(heading, "This learner has no fixed embedding (one vector per item, the same in any task), so there is no map to draw.")
    plot_embedding(embedding, episodes, folder / "embedding.png")
    return Part(
        heading,
        f"Each mark is an item of one of {len(embedding.names)} classes of {episodes.split}, placed by the learner's features: "
        f"{embedding.features.shape[1]} dimensions, projected on the two directions in which these items differ most. If the learner "
        "tells the classes apart, marks of one class lie together and away from others. What overlaps here may be apart in other "
        "directions.",
        "embedding.png",
        f"Scatter plot of {len(embedding.y)} items of {len(embedding.names)} classes in two dimensions.",
    )
