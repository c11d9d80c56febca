"""The rules for `meta_backward`, in training mode; see `kshot.learners.contract.answering_rules`."""

import torch
from torch import Tensor

from kshot.learners.contract.case import Case, changes_between, first_few, form_of, gap_between, snapshot, train_once
from kshot.seeding import seeded


def losses_form(case: Case) -> str:
    """(B,) or (M,) floating, finite, without a graph, at the beginning and at the end of training."""
    batch = case.training_batch()
    unit = "task" if batch.unit == "episode" else batch.unit
    for progress in (0.0, 1.0):
        losses = case.trained().meta_backward(batch, progress)
        if not isinstance(losses, Tensor) or tuple(losses.shape) != (len(batch),) or not losses.is_floating_point():
            return f"expected one floating loss each {unit}, {(len(batch),)}, found {form_of(losses)}. Return the loss of each {unit}."
        if losses.requires_grad:
            return "expected detached losses, found a graph behind them. Return losses.detach()."
        if not bool(torch.isfinite(losses).all()):
            return f"expected finite losses, found {losses.tolist()} at progress {progress}. Look at the loss of a first step."
    return ""


def leaves_gradient(case: Case) -> str:
    """Afterwards at least one parameter has a gradient that is not zero, and every gradient is finite."""
    _, gradients = train_once(case.trained(), case.training_batch())
    if bad := [name for name, value in gradients.items() if not bool(torch.isfinite(value).all())]:
        return f"expected finite gradients, found NaN or infinity in {first_few(bad)}. Look for a division or a root of 0."
    if not any(bool(value.any()) for value in gradients.values()):
        return "expected a gradient that is not zero, found none. Call backward inside meta_backward, on a loss that has a graph."
    return ""


def training_is_deterministic(case: Case) -> str:
    """The same parameters, tasks and seed give the same losses and gradients; bitwise on the CPU."""
    exactly = case.batch.device.type == "cpu"
    first, second = (train_once(case.trained(), case.training_batch()) for _ in range(2))
    if gap := gap_between(first[0], second[0], exactly=exactly):
        return f"expected the same losses from the same seed, found {gap}. Take all randomness from the torch generator."
    for name in first[1]:
        if gap := gap_between(first[1][name], second[1].get(name, torch.empty(0)), exactly=exactly):
            return f"expected the same gradients from the same seed, found {gap} in {name}. Take all randomness from the torch generator."
    return ""


def training_changes(case: Case) -> str:
    """`meta_backward` leaves parameters, modes and attributes as they are: the optimiser is who changes parameters."""
    trained = case.trained()
    before = snapshot(trained, training=True)
    train_once(trained, case.training_batch())
    if changed := changes_between(before, snapshot(trained, training=True)):
        return f"expected only gradients and buffers to change, found changes in {changed}. Leave the rest to the optimiser."
    return ""


def for_training_changes_nothing(case: Case) -> str:
    """Making a head leaves the learner as it was, parameters, buffers, modes and all."""
    learner = case.fresh(training=True)
    before = snapshot(learner)
    learner.for_training(case.training_batch())
    if changed := changes_between(before, snapshot(learner)):
        return f"expected for_training to leave the learner as it was, found changes in {changed}. Keep the head in a module of its own."
    return ""


def own_parameters_are_trained(case: Case) -> str:
    """What is trained holds the learner's own parameters, not copies, and at least one of them gets a gradient that is not zero."""
    learner = case.fresh(training=True)
    with seeded(0, "check_learner/head"):
        trained = learner.for_training(case.training_batch()).train()
    train_once(trained, case.training_batch())
    inside = {id(parameter) for parameter in trained.parameters()}
    if foreign := [name for name, parameter in learner.named_parameters() if id(parameter) not in inside]:
        return (
            f"expected what is trained to hold the learner's parameters, found none of its own for {first_few(foreign)}. Hold the learner."
        )
    if not any(parameter.grad is not None and bool(parameter.grad.any()) for parameter in learner.parameters()):
        return "expected a gradient in the learner, found one in the head alone. Let the loss reach the learner's features."
    return ""
