"""How sure the learner of a run is, learnt from further tasks of its validation classes, and kept beside it.

In: a run and its best learner, saved. Out: `certainty.json` in the learner's folder. Next: `kshot predict SAVED --support … --coverage`.
"""

from pathlib import Path

from kshot.learners.learner import Learner
from kshot.results.score.episode_set import EpisodeSet
from kshot.tasks.certainty.from_tasks import LEVELS, learn_from_tasks
from kshot.tasks.certainty.task_file import write_task_certainty


def keep_certainty(learner: Learner, chosen_on: EpisodeSet, folder: Path) -> None:
    """Draw as many tasks again as the best state was chosen on, of the same shape and other episodes, and keep what they tell.

    Nothing is kept for tasks with real targets, for a learner that answers the queries of a task together, and for shapes that vary.

    Args:
        learner: The learner.
        chosen_on: The validation tasks.
        folder: Where the learner is saved.

    Raises:
        SavedError: The file cannot be written.
    """
    shape = chosen_on.shape
    fixed = all(low == high for low, high in (shape.way_range, shape.shot_range, shape.query_range))
    if learner.family.name != "classification" or "inductive" not in learner.modes or not fixed or len(chosen_on) < 2:
        return
    tasks = EpisodeSet.draw(chosen_on.dataset, chosen_on.index, chosen_on.split, shape, episodes=len(chosen_on), seed=chosen_on.seed + 1)
    told = f"{chosen_on.dataset.name}, the validation classes of the run"
    write_task_certainty(folder, told, LEVELS, [learn_from_tasks(learner, tasks)])
