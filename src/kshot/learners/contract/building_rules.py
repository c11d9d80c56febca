"""The rule of the contract about how a learner is built: its arguments, its backbone and its parameters are all that it is.

In: a `Case`, which holds a learner and tasks. Out: an empty text if the rule holds; otherwise what was expected, what was found, and what
to do.
"""

import copy
from inspect import signature

from torch import nn

from kshot.arguments import GIVEN, names_of_arguments
from kshot.learners.contract.case import Case, answer, gap_between


def built_again(case: Case) -> str:
    """Built again from its arguments and its backbone, and filled, as loading does it, a learner gives the same answers.

    It applies to learners that loading can build: the constructor takes a backbone and a family, and its other arguments are plain values.
    """
    learner = case.fresh()
    made = type(learner)
    if not set(GIVEN) <= set(signature(made).parameters) or set(names_of_arguments(made)) != set(learner.arguments):
        return ""
    backbone = getattr(learner, "backbone", None)
    if not isinstance(backbone, nn.Module):
        return f"expected the backbone as the attribute backbone, found {type(backbone).__name__}. Keep it: self.backbone = backbone."
    again = made(backbone=copy.deepcopy(backbone), family=learner.family, **learner.arguments)
    again.to(next((tensor.device for tensor in (*learner.parameters(), *learner.buffers())), "cpu")).eval()
    again.load_state_dict(learner.state_dict())
    for mode in learner.modes:
        if gap := gap_between(answer(learner, case.batch, mode), answer(again, case.batch, mode)):
            return (
                f"expected the answer of the learner from one built with its arguments {dict(learner.arguments)}, found {gap}. "
                "Let the constructor depend on its arguments alone, and change no setting afterwards."
            )
    return ""
