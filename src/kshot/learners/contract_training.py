"""The rules for `meta_backward`, in training mode; see `kshot.learners.contract_rules`."""

import torch
from torch import Tensor

from kshot.learners.contract_case import Case, changes_between, first_few, form_of, gap_between, photograph, train_once


def losses_form(case: Case) -> str:
    """(B,) floating, finite, without a graph, at the beginning and at the end of training."""
    for progress in (0.0, 1.0):
        losses = case.fresh(training=True).meta_backward(case.batch, progress)
        if not isinstance(losses, Tensor) or tuple(losses.shape) != (len(case.batch),) or not losses.is_floating_point():
            return f"expected one floating loss a task, {(len(case.batch),)}, found {form_of(losses)}. Return the loss of each task."
        if losses.requires_grad:
            return "expected detached losses, found a graph behind them. Return losses.detach()."
        if not bool(torch.isfinite(losses).all()):
            return f"expected finite losses, found {losses.tolist()} at progress {progress}. Look at the loss of a first step."
    return ""


def leaves_gradient(case: Case) -> str:
    """Afterwards at least one parameter has a gradient that is not zero, and every gradient is finite."""
    learner = case.fresh(training=True)
    _, gradients = train_once(learner, case.batch)
    if bad := [name for name, value in gradients.items() if not bool(torch.isfinite(value).all())]:
        return f"expected finite gradients, found NaN or infinity in {first_few(bad)}. Look for a division or a root of 0."
    if not any(bool(value.any()) for value in gradients.values()):
        return "expected a gradient that is not zero, found none. Call backward inside meta_backward, on a loss that has a graph."
    return ""


def training_is_deterministic(case: Case) -> str:
    """The same parameters, tasks and seed give the same losses and gradients; bitwise on the CPU."""
    exactly = case.batch.support_y.device.type == "cpu"
    first, second = (train_once(case.fresh(training=True), case.batch) for _ in range(2))
    if gap := gap_between(first[0], second[0], exactly=exactly):
        return f"expected the same losses from the same seed, found {gap}. Take all randomness from the torch generator."
    for name in first[1]:
        if gap := gap_between(first[1][name], second[1].get(name, torch.empty(0)), exactly=exactly):
            return f"expected the same gradients from the same seed, found {gap} in {name}. Take all randomness from the torch generator."
    return ""


def training_changes(case: Case) -> str:
    """`meta_backward` leaves parameters, modes and attributes as they are: the optimiser is who changes parameters."""
    learner = case.fresh(training=True)
    before = photograph(learner, training=True)
    train_once(learner, case.batch)
    if changed := changes_between(before, photograph(learner, training=True)):
        return f"expected only gradients and buffers to change, found changes in {changed}. Leave the rest to the optimiser."
    return ""
