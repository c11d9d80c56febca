"""Slots for classes: a network with one output per slot answers tasks of at most so many classes."""

from kshot.errors import RecipeError


def require_slots(learner: str, slots: int, way: int) -> None:
    """Raise an error if a task has more classes than the network has slots.

    Raises:
        RecipeError: There are too few slots.
    """
    if slots < way:
        raise RecipeError(
            f"this {learner} has {slots} slots for classes; the tasks have {way} classes. Ask for at most {slots}, or train one with "
            f"learner.slots={way}."
        )
