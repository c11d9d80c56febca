"""The LSTM meta-learner: the parameters of the network that learns a task are the cell state of an LSTM.

Sachin Ravi, Hugo Larochelle, "Optimization as a Model for Few-Shot Learning", ICLR 2017, openreview rJY0-Kcll; where we name the authors'
code, it is model/lstm of twitter-research/meta-learning-lstm. For each coordinate θ of the network, with g_t = ∇ L_t its gradient:

    θ_t = f_t θ_{t-1} + i_t (-g_t)                            a cell state, whose candidate is minus the gradient
    f_t = σ(W_f · [h_t, θ_{t-1}, f_{t-1}] + b_f)              forgetting: 1 keeps θ
    i_t = σ(W_i · [h_t, θ_{t-1}, i_{t-1}] + b_i)              the input gate: the rate of the step
    h_t = LSTM(prep(g_t), prep(L_t); h_{t-1})                 a usual LSTM of 20 units below
    prep(x) = (log|x| / p, sgn x) if |x| ≥ e^{-p}, else (-1, e^p x),   p = 10

All coordinates share W, b and the LSTM, each with a state of its own. Learnt are these and θ_0, the cell state before the first step. The
gradients and losses count as independent of all that is learnt, so there are no second derivatives: it is an update rule, in the mode
`kshot.learners.inner_loop.modes.first_order`, which goes through θ_{t-1}, the gates and the LSTM. As in the authors' code b_f starts
between 4 and 5 and b_i between -5 and -4, which is gradient descent of a rate of 0.01 with some decay; all other weights start within
±0.01, and f_0 = i_0 = 0, h_0 = 0.

Departures: any number of tasks per update, as their mean. In the authors' code the gates remember what was before σ, and not f_{t-1} and
i_{t-1}; here it is as in the equations. Batch normalisation: in training, the statistics of the items at hand, as there; outside training,
queries are normalised by the support set's statistics under θ_T, where the paper's running ones average those of all steps. Steps take the
whole support set. Measured: docs/learners/meta-lstm.md.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.inner_loop.gradient_learner import (
    GradientLearner,
    InductiveStatistics,
    outer_gradient,
)
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.parameters import Adapt, Tensors, divide_parameters
from kshot.learners.learned_updates.coordinate_lstm import preprocessed
from kshot.learners.learned_updates.lstm import new_stack, run_stack
from kshot.learners.settings import require_count

_MOST_UNITS = 1000
_SMALL = 0.01
_OPEN = (4.0, 5.0)


@dataclass(frozen=True)
class CellStateRule:
    """The equations above as an update rule.

    Attributes:
        learnt: Weights of the LSTM below (`lstm.new_stack`); `forget` and `input` (hidden + 2,), W of the gates, for h, θ and the gate
            before; `forget_bias` and `input_bias` (), b.
        cure: What to do where steps diverge.
    """

    learnt: Tensors = field(repr=False)
    cure: str = "Train with a lower rate (training.lr), or clip the outer gradient (training.clip_norm = 0.25)."

    def init(self, parameters: Tensors) -> Tensors:
        """Zeros for all P coordinates of a task: `lstm` (B, P, 1, 2, hidden), `gates` (B, P, 2)."""
        some = next(iter(parameters.values()))
        B, P = len(some), sum(value[0].numel() for value in parameters.values())
        return {"lstm": some.new_zeros(B, P, 1, 2, len(self.learnt["forget"]) - 2), "gates": some.new_zeros(B, P, 2)}

    def update(
        self, gradients: Tensors, state: Tensors, parameters: Tensors, step: int | Tensor, losses: Tensor | None = None
    ) -> tuple[Tensors, Tensors]:
        """θ_t and the state after it; arguments as in `UpdateRule`."""
        assert losses is not None, "the inner loop gives the losses"
        g, theta = (torch.cat([values[name].flatten(1) for name in parameters], 1) for values in (gradients, parameters))  # (B, P)
        g, loss = g.detach(), losses.detach()[:, None].expand_as(g)
        h, lstm = run_stack(self.learnt, torch.cat((preprocessed(loss), preprocessed(g)), -1), state["lstm"])  # h: (B, P, hidden)
        before = state["gates"].unbind(-1)
        forget, allow = (self._gate(name, h, theta, gate) for name, gate in zip(("forget", "input"), before, strict=True))
        moved = torch.split(forget * theta - allow * g, [value[0].numel() for value in parameters.values()], 1)
        after = {"lstm": lstm, "gates": torch.stack((forget, allow), -1)}
        return {name: value.view_as(parameters[name]) for name, value in zip(parameters, moved, strict=True)}, after

    def _gate(self, name: str, h: Tensor, theta: Tensor, before: Tensor) -> Tensor:
        """σ(W · [h, θ, gate before] + b), (B, P)."""
        weights = self.learnt[name]
        return torch.sigmoid(h @ weights[:-2] + theta * weights[-2] + before * weights[-1] + self.learnt[f"{name}_bias"])

    def with_learnt(self, learnt: Tensors) -> "CellStateRule":
        """The same rule with other weights."""
        return replace(self, learnt=learnt)

    def words(self) -> str:
        """The rule in words."""
        return "the learnt gates of an LSTM"


class MetaLSTM(GradientLearner):
    """The equations above; θ is all of the network.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D; `kshot train` finds it.
        outputs: N, the classes of every task (or T, the number of real targets).
        hidden: Units of the LSTM below the gates.
        inner_steps: T in training, ≥ 0.
        adapt_steps: T outside training, ≥ 0.
        inductive: The statistics that `predict` normalises with: those of the `support` set, or the `running` ones.
        family: The kind of task; classification, or regression for real targets.

    Raises:
        RecipeError: A setting makes no sense.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        outputs: int = 5,
        hidden: int = 20,
        inner_steps: int = 12,
        adapt_steps: int = 12,
        inductive: InductiveStatistics = "support",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__(
            backbone,
            features=features,
            outputs=outputs,
            inner_steps=inner_steps,
            adapt_steps=adapt_steps,
            inductive=inductive,
            family=family,
        )
        require_count("hidden", hidden, 1, _MOST_UNITS)
        shapes = {name: value.shape for name, value in new_stack(4, hidden, 1, torch.Generator()).items()}
        weights = {**shapes, "forget": (hidden + 2,), "input": (hidden + 2,)}
        learnt = {name: torch.empty(shape).uniform_(-_SMALL, _SMALL) for name, shape in weights.items()}
        learnt |= {"forget_bias": torch.empty(()).uniform_(*_OPEN), "input_bias": -torch.empty(()).uniform_(*_OPEN)}
        self.learnt = nn.ParameterDict(learnt)
        divide_parameters(self.network(), self.adapting)  # refuses now what could not adapt later

    @property
    def adapting(self) -> Adapt:
        """All of the network."""
        return None

    def rule(self) -> CellStateRule:
        """With the weights as they are now."""
        return CellStateRule({name: value.detach() for name, value in self.learnt.items()})

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The gradient of the queries' loss after T steps for the tasks of a batch: of θ_0, W, b and the LSTM.

        Returns the queries' losses (B,); the gradient of their mean is left in `.grad`.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        return outer_gradient(self, batch, first_order, learnt=dict(self.learnt.items()))
