"""The rules of the contract for `meta_backward`, in training mode. For the form of a rule, see `answering_rules`."""

import torch
from torch import Tensor, nn

from kshot.learners.contract.case import Case, changes_between, first_few, form_of, gap_between, snapshot, train_once
from kshot.seeding import seeded

_Norm = nn.modules.batchnorm._NormBase  # of batch and instance normalisation


def losses_form(case: Case) -> str:
    """Losses are (B,) or (M,), floating, finite and without a graph, at the beginning and at the end of training."""
    batch = case.training_batch()
    unit = "task" if batch.unit == "episode" else batch.unit
    for progress in (0.0, 1.0):
        losses = case.trained().meta_backward(batch, progress)
        if not isinstance(losses, Tensor) or tuple(losses.shape) != (len(batch),) or not losses.is_floating_point():
            return f"expected one floating loss per {unit}, {(len(batch),)}, found {form_of(losses)}. Return one loss per {unit}."
        if losses.requires_grad:
            return "expected detached losses, found a graph behind them. Return losses.detach()."
        if not bool(torch.isfinite(losses).all()):
            return f"expected finite losses, found {losses.tolist()} at progress {progress}. Look at the loss of a first step."
    return ""


def leaves_gradient(case: Case) -> str:
    """After `meta_backward`, at least one parameter has a gradient that is not zero, and every gradient is finite."""
    _, gradients = train_once(case.trained(), case.training_batch())
    if bad := [name for name, value in gradients.items() if not bool(torch.isfinite(value).all())]:
        return f"expected finite gradients, found NaN or infinity in {first_few(bad)}. Look for a division or a root of 0."
    if not any(bool(value.any()) for value in gradients.values()):
        return "expected a gradient that is not zero, found none. Call backward inside meta_backward, on a loss that has a graph."
    return ""


def training_is_deterministic(case: Case) -> str:
    """The same parameters, tasks and seed give the same losses and gradients, bitwise on the CPU."""
    exactly = case.batch.device.type == "cpu"
    first, second = (train_once(case.trained(), case.training_batch()) for _ in range(2))
    if gap := gap_between(first[0], second[0], exactly=exactly):
        return f"expected the same losses from the same seed, found {gap}. Take all randomness from the torch generator."
    for name in first[1]:
        if gap := gap_between(first[1][name], second[1].get(name, torch.empty(0)), exactly=exactly):
            return f"expected the same gradients from the same seed, found {gap} in {name}. Take all randomness from the torch generator."
    return ""


def training_changes(case: Case) -> str:
    """`meta_backward` leaves parameters, modes and attributes unchanged. Only the optimiser changes parameters."""
    trained = case.trained()
    before = snapshot(trained, training=True)
    train_once(trained, case.training_batch())
    if changed := changes_between(before, snapshot(trained, training=True)):
        return f"expected only gradients and buffers to change, found changes in {changed}. Leave the rest to the optimiser."
    return ""


def frozen_normalisation_stays(case: Case) -> str:
    """Normalisation whose scale and shift are frozen keeps its running statistics in training, if anything else is trained."""
    learner = case.fresh(training=True)
    norms = {path: norm for path, norm in learner.named_modules() if isinstance(norm, _Norm) and norm.affine and norm.track_running_stats}
    for norm in norms.values():
        norm.requires_grad_(False)
    if not norms or not any(parameter.requires_grad for parameter in learner.parameters()):
        return ""
    with seeded(0, "check_learner/head"):
        trained = learner.for_training(case.training_batch()).train()
    before = {path: {name: value.clone() for name, value in norm.named_buffers()} for path, norm in norms.items()}
    train_once(trained, case.training_batch())
    moved = [
        f"{path}.{name}".lstrip(".")
        for path, norm in norms.items()
        for name, value in norm.named_buffers()
        if gap_between(before[path][name], value, exactly=True)
    ]
    if moved:
        return (
            f"expected frozen normalisation to stay in evaluation mode, found changes in {first_few(moved)}. Leave the modes that "
            "Trainable.train() has set, and let modules normalise by their own."
        )
    return ""


def for_training_changes_nothing(case: Case) -> str:
    """Making a head leaves the whole learner unchanged: parameters, buffers, modes and attributes."""
    learner = case.fresh(training=True)
    before = snapshot(learner)
    learner.for_training(case.training_batch())
    if changed := changes_between(before, snapshot(learner)):
        return f"expected for_training to leave the learner unchanged, found changes in {changed}. Keep the head in a separate module."
    return ""


def own_parameters_are_trained(case: Case) -> str:
    """The trained module holds the learner's own parameters, not copies, and at least one of them gets a gradient that is not zero."""
    learner = case.fresh(training=True)
    with seeded(0, "check_learner/head"):
        trained = learner.for_training(case.training_batch()).train()
    train_once(trained, case.training_batch())
    inside = {id(parameter) for parameter in trained.parameters()}
    if foreign := [name for name, parameter in learner.named_parameters() if id(parameter) not in inside]:
        return (
            f"expected the trained module to hold the learner's own parameters, found {first_few(foreign)} missing. Hold the learner in it."
        )
    if not any(parameter.grad is not None and bool(parameter.grad.any()) for parameter in learner.parameters()):
        return "expected a gradient in the learner, found one only in the head. Let the loss depend on the learner's features."
    return ""
