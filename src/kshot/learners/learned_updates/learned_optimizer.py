"""A learned optimiser: an update rule with its meta-trained weights, and the way to train one's own model with it.

It is not a learner of the contract in `kshot.learners.learner`: it answers no queries. It takes the place of `torch.optim.Adam`. In: the
name of a rule. Out: a `torch.optim.Optimizer`. Next: `kshot.meta_train.unroll` trains it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kshot.errors import RecipeError, known_ones
from kshot.learners.learned_updates import coordinate_lstm, tensor_lstm_fused
from kshot.learners.learned_updates.coordinate_lstm import CoordinateLSTM
from kshot.learners.learned_updates.tensor_lstm import TensorLSTM
from kshot.learners.learned_updates.torch_optimizer import Advance, LearnedUpdates
from kshot.learners.settings import require_count
from kshot.short_repr import short_repr

Rule = CoordinateLSTM | TensorLSTM

RULES: Mapping[str, type[CoordinateLSTM] | type[TensorLSTM]] = {"coordinate_lstm": CoordinateLSTM, "tensor_lstm": TensorLSTM}
"""Learned rules by the name that recipes use."""

_IN_PLACE: Mapping[str, Advance] = {"coordinate_lstm": coordinate_lstm.advance, "tensor_lstm": tensor_lstm_fused.advance}


class LearnedOptimizer(nn.Module):
    """An update rule whose weights are this module's parameters.

    Args:
        rule: A name in `RULES`.
        hidden: Units of each layer of the LSTM.
        layers: Layers of the LSTM.
        horizon: Number of steps over which the rule plans.
        seed: Seed of the initial weights.

    Raises:
        RecipeError: There is no such rule, or a number is too small.
    """

    def __init__(self, rule: str = "tensor_lstm", *, hidden: int = 20, layers: int = 2, horizon: int = 100, seed: int = 0) -> None:
        super().__init__()
        if rule not in RULES:
            raise RecipeError(f"there is no learned rule {rule!r}.{known_ones(rule, RULES)}")
        for name, value in (("hidden", hidden), ("layers", layers), ("horizon", horizon)):
            require_count(name, value, 1)
        self.arguments: dict[str, Any] = {"rule": rule, "hidden": hidden, "layers": layers, "horizon": horizon}
        generator = torch.Generator().manual_seed(seed)
        made = RULES[rule].new(generator, hidden=hidden, layers=layers)
        self._rule: Rule = replace(made, horizon=horizon)
        self.learnt = nn.ParameterDict(made.learnt)

    @property
    def rule(self) -> Rule:
        """The rule with this module's parameters as its weights: an `UpdateRule`."""
        return self._rule.with_learnt(dict(self.learnt.items()))

    def optimizer(
        self, params: Iterable[Tensor] | Iterable[dict[str, Any]], *, lr: float = 1.0, horizon: int | None = None
    ) -> LearnedUpdates:
        """Make an optimiser of a model's parameters, used as `torch.optim.Adam` is.

        Args:
            params: Parameters, or groups of parameters, as every optimiser of PyTorch takes them.
            lr: Multiplies every step, > 0. Schedulers change it. There is no rate to find: 1 is what was meta-trained.
            horizon: Number of steps that training will take, so that the rule plans for them; None: the trained one. Steps after it are
                like the last one.

        Raises:
            RecipeError: A parameter is frozen, sparse or not floating, or a number is out of range.

        Example:
            >>> import torch, kshot
            >>> model = torch.nn.Linear(3, 1)
            >>> optimizer = kshot.load("learned-optimizer").optimizer(model.parameters())  # doctest: +SKIP
        """
        rule = self.rule.with_learnt({name: value.detach() for name, value in self.learnt.items()})
        if horizon is not None:
            require_count("horizon", horizon, 1)
            rule = replace(rule, horizon=horizon)
        return LearnedUpdates(params, rule, _IN_PLACE[self.arguments["rule"]], lr=lr)

    def __repr__(self) -> str:
        weights = sum(value.numel() for value in self.parameters())
        return short_repr("LearnedOptimizer", [*(f"{name}={value!r}" for name, value in self.arguments.items()), f"{weights:,} weights"])
