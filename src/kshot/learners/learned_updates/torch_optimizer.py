"""A learned rule as a `torch.optim.Optimizer`, so that a user's training loop, schedulers and checkpoints work as with any other.

In: parameters and a rule. Next: a user's own training.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import torch
from torch import Tensor

from kshot.errors import RecipeError, TrainingError
from kshot.learners.inner_loop.update_rule import UpdateRule
from kshot.learners.learned_updates.slot import Slot
from kshot.learners.settings import require_positive

Advance = Callable[[Any, Sequence[Slot]], None]


class LearnedUpdates(torch.optim.Optimizer):
    """The optimiser of a model, whose steps a learned rule takes.

    `lr` of a group multiplies its steps and is 1 unless said otherwise, so that schedulers of PyTorch work. Parameters whose gradient is
    None stay as they are. Numbers are computed in float32, whatever floating type the parameters have.

    Args:
        params: Parameters or groups of parameters.
        rule: The learned rule, with weights outside a graph.
        advance: Takes a step of that rule in place.
        lr: Of groups that have none of their own, > 0.

    Raises:
        RecipeError: A parameter is frozen, sparse, complex or not floating, there are several devices, or lr is not above 0.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], rule: UpdateRule, advance: Advance, *, lr: float = 1.0) -> None:
        require_positive("lr", lr)
        self._rule, self._advance = rule, advance
        super().__init__(params, {"lr": lr})
        device = self.param_groups[0]["params"][0].device
        self._rule = rule.with_learnt({name: value.to(device) for name, value in rule.learnt.items()})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, as of any optimiser, with its own `lr` if it has one.

        Raises:
            RecipeError: A parameter cannot be trained by this optimiser, or lr is not above 0. The group is not added.
        """
        super().add_param_group(param_group)
        try:
            self._check(len(self.param_groups) - 1)
        except RecipeError:
            self.param_groups.pop()
            raise

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step.

        Args:
            closure: Computes the loss with its gradients, and returns the loss.

        Returns:
            The loss of the closure, if there is one.

        Raises:
            RecipeError: A gradient is sparse.
            TrainingError: A gradient is not a finite number. No parameter has changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._require_finite()
        slots: list[Slot] = []
        written: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    begun = self._rule.init(
                        {"": torch.zeros_like(parameter, dtype=torch.float32, memory_format=torch.contiguous_format)[None]}
                    )
                    state.update({name.rstrip("/"): value[0] for name, value in begun.items()}, step=0)
                flat = parameter.detach().float().reshape(-1)
                target = flat
                if flat.data_ptr() != parameter.data_ptr():
                    target = torch.zeros_like(flat)
                    written.append((parameter, target))
                gradient = parameter.grad.detach().float().reshape(-1)
                slots.append(Slot(flat, target, gradient, state, state["step"], float(group["lr"]), parameter.ndim))
        if slots:
            self._advance(self._rule, slots)
        for slot in slots:
            slot.state["step"] = slot.step + 1  # type: ignore[assignment]  # a whole number among the tensors
        for parameter, target in written:
            parameter.add_(target.view(parameter.shape))
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state that `state_dict` returned; the rule's own weights are not part of it."""
        super().load_state_dict(state_dict)
        numbers = [number for group in state_dict["param_groups"] for number in group["params"]]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for number, parameter in zip(numbers, parameters, strict=True):
            for name, value in state_dict["state"].get(number, {}).items():
                if isinstance(value, Tensor):  # PyTorch would round it to the type of the parameter
                    self.state[parameter][name] = value.detach().to(parameter.device, copy=True)

    def _check(self, number: int) -> None:
        """Raise an error unless every parameter of a group can be trained."""
        group = self.param_groups[number]
        require_positive(f"lr of group {number}", float(group["lr"]))
        device = self.param_groups[0]["params"][0].device
        for place, parameter in enumerate(group["params"]):
            name = f"parameter {place} of group {number}, of shape {tuple(parameter.shape)},"
            if parameter.layout != torch.strided:
                raise RecipeError(f"{name} is sparse ({parameter.layout}); a learned optimiser needs dense ones. Use parameter.to_dense().")
            if not parameter.is_floating_point():
                raise RecipeError(f"{name} is {parameter.dtype}; a learned optimiser needs floating numbers. Leave it out, or convert it.")
            if not parameter.requires_grad:
                raise RecipeError(
                    f"{name} is frozen (requires_grad=False). Leave it out: optimizer(p for p in model.parameters() if p.requires_grad)."
                )
            if parameter.device != device:
                raise RecipeError(f"{name} is on {parameter.device}, the first on {device}. Move the model to one device.")

    def _require_finite(self) -> None:
        """Raise an error unless every gradient is dense and finite."""
        norms, names = [], []
        for number, group in enumerate(self.param_groups):
            for place, parameter in enumerate(group["params"]):
                if parameter.grad is None:
                    continue
                name = f"the gradient of parameter {place} of group {number}, of shape {tuple(parameter.shape)},"
                if parameter.grad.layout != torch.strided:
                    raise RecipeError(f"{name} is sparse; a learned optimiser needs dense ones. Build the embedding with sparse=False.")
                norms.append(torch.linalg.vector_norm(parameter.grad.detach().float()))
                names.append(name)
        if norms and not bool(torch.isfinite(torch.stack(norms)).all()):
            bad = next(name for name, norm in zip(names, norms, strict=True) if not bool(torch.isfinite(norm)))
            raise TrainingError(
                f"{bad} is not finite at this step. No parameter has changed. Look at the loss and the data of this batch; clip gradients, "
                "or leave the batch out."
            )
