"""The public contract suite: does a learner keep the contract of `kshot.learners.learner`?

In: a learner and a batch of tasks that it can read. Out: the names of the rules that held, or one error that lists every broken
rule. The rules, one function each, are in `answering_rules`, `building_rules` and `training_rules` of `kshot.learners.contract`.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from kshot.data.inputs import map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.errors import ContractError
from kshot.learners.contract import answering_rules as rules
from kshot.learners.contract import building_rules as building
from kshot.learners.contract import training_rules as training
from kshot.learners.contract.case import Case, Rule
from kshot.learners.learner import Learner
from kshot.seeding import seeded

# If one of these is broken, the later rules would only report the same fault again.
FIRST: dict[str, Rule] = {
    "family, modes and training_source are declared": rules.declared,
    "encode gives one row of features per item": rules.encode_keeps_items,
    "adapt gives a named tuple with B first": rules.adapted_form,
    "answers are finite numbers of the right shape": rules.answer_form,
}
ALWAYS: dict[str, Rule] = {
    "encode looks at each item independently": rules.encode_is_per_item,
    "adapt gives detached tensors in evaluation mode": rules.adapted_is_detached,
    "the same question gives the same answer": rules.same_answer_twice,
    "the global random generator stays unchanged": rules.generator_untouched,
    "two interleaved tasks do not touch": rules.interleaved_tasks,
    "a batch of tasks equals single tasks": rules.batch_equals_singles,
    "support sets may be unbalanced": rules.unbalanced_support,
    "encode, adapt and predict change nothing": rules.steps_change_nothing,
    "no_grad gives the same answer": rules.works_without_gradients,
    "several threads get the same answer": rules.threads,
    "saved and loaded parameters give the same answer": rules.save_and_load,
    "built again from its arguments, it is the same learner": building.built_again,
}
CLASSIFICATION: dict[str, Rule] = {
    "adapt reads the way from the labels": rules.way_from_labels,
    "a class without support items leaves the others usable": rules.missing_class,
}
UNORDERED: dict[str, Rule] = {
    "an answer does not depend on the order of the support": rules.support_in_any_order,
}
INDUCTIVE: dict[str, Rule] = {
    "an answer does not depend on the other queries": rules.queries_alone,
}
EPISODIC: dict[str, Rule] = {
    "meta_backward gives B detached finite losses": training.losses_form,
    "meta_backward leaves a gradient": training.leaves_gradient,
    "meta_backward is a function of its seed": training.training_is_deterministic,
    "meta_backward changes nothing but gradients and buffers": training.training_changes,
    "meta_backward keeps frozen normalisation as it is": training.frozen_normalisation_stays,
}
ITEMS: dict[str, Rule] = {
    "for_training leaves the learner unchanged": training.for_training_changes_nothing,
    "training by items reaches the learner's own parameters": training.own_parameters_are_trained,
    "training by items gives M detached finite losses": training.losses_form,
    "training by items leaves a gradient": training.leaves_gradient,
    "training by items is a function of its seed": training.training_is_deterministic,
    "training by items changes nothing but gradients and buffers": training.training_changes,
    "training by items keeps frozen normalisation as it is": training.frozen_normalisation_stays,
}


def check_learner(learner: Learner, batch: EpisodeBatch | None = None) -> list[str]:
    """Try every rule of the contract on a learner.

    Args:
        learner: The learner. It stays unchanged because the rules work on copies.
        batch: Tasks that the learner can read. Each support set must have every label 0 … N-1, or `way` must be None and the targets
            real. The tasks are moved to the learner's device. None makes three 5-way 2-shot tasks of images (1, 28, 28) float32 in
            [0, 1].

    Returns:
        The names of the rules that held, which are all rules that apply to the learner.

    Raises:
        ContractError: Rules are broken. Each is listed with what was expected, what was found and what to do.

    Example:
        >>> from kshot.backbones.conv4 import Conv4
        >>> from kshot.learners.metric.protonet import ProtoNet
        >>> "encode looks at each item independently" in check_learner(ProtoNet(Conv4()))
        True
    """
    made = batch is None
    tasks = made_batch() if batch is None else batch
    name = type(learner).__name__
    with seeded(0, "check_learner"), torch.enable_grad():
        case = Case(learner, _moved(tasks, learner))
        try:
            case.fresh()
        except Exception as error:  # a user's code may raise anything
            cure = "Keep no tensor with a graph and no open file on the learner."
            raise ContractError(f"{name} cannot be copied, but the check needs copies: {_brief(error)}. {cure}") from error
        try:
            case.encoded()
        except Exception as error:  # a user's code may raise anything
            what = "the tasks made for the check, images (M, 1, 28, 28) float32" if made else "the batch that was given"
            cure = "Give tasks that it reads: check_learner(learner, batch=...)." if made else "Give a batch that it reads."
            raise ContractError(f"{name} cannot encode {what}: {_brief(error)}. {cure}") from error
        complaints = _complaints(FIRST, case)
        tried = dict(FIRST)
        if not any(complaints.values()):
            later = dict(ALWAYS)
            later |= CLASSIFICATION if case.batch.way is not None else {}
            later |= {} if learner.depends_on_support_order else UNORDERED
            later |= INDUCTIVE if "inductive" in learner.modes else {}
            later |= {"episodes": EPISODIC, "items": ITEMS, "none": {}}[learner.training_source]
            complaints |= _complaints(later, case)
            tried |= later
    broken = {rule: complaint for rule, complaint in complaints.items() if complaint}
    if broken:
        rest = "" if len(tried) > len(FIRST) else "\nThe other rules were not tried because they build on these."
        raise ContractError(
            f"{name} breaks {len(broken)} of the {len(tried)} rules of the contract (kshot.learners.learner) that were tried:"
            + "".join(f"\n- {rule}: {complaint}" for rule, complaint in broken.items())
            + rest
        )
    return list(tried)


def made_batch() -> EpisodeBatch:
    """Make three 5-way 2-shot tasks with 3 queries per class: noisy copies of one random image per class, shuffled."""
    B, N, K, queries = 3, 5, 2, 3
    generator = torch.Generator().manual_seed(0)
    classes = torch.rand(B, N, 1, 28, 28, generator=generator)

    def items(count: int) -> tuple[Tensor, Tensor]:
        y = torch.stack([torch.randperm(N * count, generator=generator) % N for _ in range(B)])  # (B, N·count)
        clean = classes[torch.arange(B)[:, None], y]  # (B, N·count, 1, 28, 28)
        return (clean + 0.2 * torch.randn(clean.shape, generator=generator)).clamp(0, 1), y

    support_x, support_y = items(K)
    query_x, query_y = items(queries)
    return EpisodeBatch(support_x, support_y, query_x, query_y, N, np.arange(B))


def _complaints(table: Mapping[str, Rule], case: Case) -> dict[str, str]:
    """Return the complaint of each rule; empty for a rule that holds."""
    complaints = {}
    for name, rule in table.items():
        try:
            complaints[name] = rule(case)
        except Exception as error:  # any exception breaks the rule that met it; the others are still tried
            complaints[name] = f"expected an answer, found {_brief(error)}. Make this work."
    return complaints


def _brief(error: Exception) -> str:
    """Return the type of the error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(".: ")


def _moved(batch: EpisodeBatch, learner: Learner) -> EpisodeBatch:
    """Move the batch to the learner's device."""
    first = next(learner.parameters(), None)
    device = batch.support_y.device if first is None else first.device
    return EpisodeBatch(
        map_inputs(lambda value: value.to(device), batch.support_x),
        batch.support_y.to(device),
        map_inputs(lambda value: value.to(device), batch.query_x),
        batch.query_y.to(device),
        batch.way,
        batch.numbers,
    )
