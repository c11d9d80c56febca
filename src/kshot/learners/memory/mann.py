"""A memory-augmented neural network: an LSTM that writes to an external memory and reads it by content.

Adam Santoro, Sergey Bartunov, Matthew Botvinick, Daan Wierstra, Timothy Lillicrap, "Meta-Learning with Memory-Augmented Neural Networks",
ICML 2016, arXiv 1605.06065, sections 2 and 3. At step t, with the item x_t, the label y_{t-1} before it, and the memory of
`kshot.learners.memory.external_memory`:

    i, f, o = σ(·), u = tanh(·)  of  W_x [x_t, y_{t-1}] + W_s [h_{t-1}, r_{t-1}] + b      ("r_t … an additional input for the next
    c_t = f c_{t-1} + i u,  h_t = o tanh(c_t)                                               controller state", section 3.1)
    k_t, v_t = tanh(W_k h_t + b_k);  σ(α);  β = 1 + softplus(·)                            R heads; β and v_t: departures
    r_t, M_t = memory                                                                      write, then read: equations (2) to (8)
    P(y_t) = softmax(W_o [h_t, r_t] + b_o)

and the loss is the cross-entropy of all steps. `run_sequence` does the steps of a sequence in one go; `step` is the same by the equations.
A query (`predict`) is one such step. What it writes goes into a copy of the memory that is thrown away, so queries leave no trace and do
not influence each other. Leaving the write out would not do: the network was never trained to read a memory without its own last write.

Departures: the value written is not the key, and the cosine has a strength β (`external_memory`). Adam instead of RMSProp, with another
rate: see the recipe. Choices where the paper is silent: tanh for keys and values, a forget bias of 1, γ = 0.95.

Limits: longer sequences than in training work; when all N slots are used, the least used one is overwritten. What is learned depends on the
order of the support set (`sequence_learner`). Measured: docs/learners/mann.md.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.learner import require_family
from kshot.learners.memory.external_memory import Emitted, Memory, access, empty_memory
from kshot.learners.memory.label_code import LabelCode
from kshot.learners.memory.recurrence import State as Recurrent
from kshot.learners.memory.recurrence import Weights, run_sequence
from kshot.learners.memory.sequence_learner import SequenceLearner, State
from kshot.learners.settings import require_count, require_part_below_one

_COPIES = 1024
"""Queries that are answered at once, each with a copy of the memory: 21 MB with the paper's sizes."""


class MANN(SequenceLearner):
    """A memory-augmented neural network.

    Args:
        backbone: Inputs (M, …) → features (M, D). `Flat` is the paper's: pixels.
        features: D. Recipes fill it in.
        outputs: Number of one-hot labels, the largest way; with `characters` above 1, the number of letters.
        characters: Characters per label; 5 with `outputs=5` is the paper's string labels.
        hidden: H, the size of the LSTM.
        heads: R, the number of reads and of writes per step.
        slots: N.
        width: W, numbers per slot.
        usage_decay: γ, in [0, 1).
        family: The task family; it must be classification.

    Raises:
        RecipeError: A count is not positive, or there are fewer slots than heads.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        outputs: int = 5,
        *,
        characters: int = 1,
        hidden: int = 200,
        heads: int = 4,
        slots: int = 128,
        width: int = 40,
        usage_decay: float = 0.95,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, count in (("features", features), ("hidden", hidden), ("heads", heads), ("slots", slots), ("width", width)):
            require_count(name, count, 1)
        require_part_below_one("usage_decay", usage_decay)
        empty_memory(1, slots, width, heads, torch.empty(0))  # refuses a memory that is too small
        self.backbone = backbone
        self.features = features
        self.code = LabelCode(outputs, characters)
        self.hidden, self.heads, self.slots, self.width, self.usage_decay = hidden, heads, slots, width, usage_decay
        both = hidden + heads * width
        self.from_input = nn.Linear(features + self.code.size, 4 * hidden)
        self.from_state = nn.Linear(both, 4 * hidden, bias=False)
        self.emit = nn.Linear(hidden, 2 * heads * width + 2 * heads)
        self.classify = nn.Linear(both, self.code.size)
        with torch.no_grad():
            self.from_input.bias[hidden : 2 * hidden] += 1
            self.emit.bias.zero_()
            self.emit.bias[-heads:] = 1.0
        self.family = require_family(family, "classification", type(self).__name__)

    def begin(self, tasks: int, like: Tensor) -> dict[str, Tensor]:
        """Return a state of zeros with an empty memory, (B, …)."""
        memory = empty_memory(tasks, self.slots, self.width, self.heads, like)
        output, cell = like.new_zeros(tasks, self.hidden + self.heads * self.width), like.new_zeros(tasks, self.hidden)
        return _named(Recurrent(output, cell, memory))

    def follow(self, inputs: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Do T steps: (T, B, I) → logits (T, B, L · A), and the state after them."""
        weights = Weights(self.from_state.weight, self.emit.weight, self.emit.bias)
        outputs, after = run_sequence(self.from_input(inputs), _recurrent(state), weights, self.usage_decay)
        return self.classify(outputs), _named(after)

    def glance(self, inputs: Tensor, state: State) -> Tensor:
        """Answer each item as the next one, on a copy of the memory of its own: (B, Q, I) → (B, Q, L · A)."""
        logits = []
        for some in inputs.split(max(1, _COPIES // len(inputs)), 1):  # type: ignore[no-untyped-call]  # torch's own
            B, q, _ = some.shape
            copies = {name: torch.repeat_interleave(value, q, 0) for name, value in state.items()}
            logits.append(self.step(some.flatten(0, 1), copies)[0].view(B, q, -1))
        return torch.cat(logits, 1)

    def control(self, inputs: Tensor, output: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Do one step of the LSTM: inputs (…, I), the last output (…, H + R·W) and c_{t-1} (…, H) → h_t and c_t (…, H)."""
        i, f, o, u = (self.from_input(inputs) + self.from_state(output)).chunk(4, -1)
        c = f.sigmoid() * cell + i.sigmoid() * u.tanh()
        return o.sigmoid() * c.tanh(), c

    def emitted(self, h: Tensor) -> Emitted:
        """Return what the controller emits for its memory: h_t (…, H) → keys and values (…, R, W), gates and strengths (…, R)."""
        RW, R = self.heads * self.width, self.heads
        keys, values, gates, strengths = self.emit(h).split([RW, RW, R, R], -1)
        heads = (R, self.width)
        return Emitted(keys.tanh().unflatten(-1, heads), values.tanh().unflatten(-1, heads), gates.sigmoid(), 1 + F.softplus(strengths))

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Do one step by the equations, as `follow` does T: (B, I) → logits (B, L · A), and the state after it."""
        before = _recurrent(state)
        h, c = self.control(inputs, before.output, before.cell)
        r, memory = access(before.memory, self.emitted(h), self.usage_decay)
        output = torch.cat([h, r.flatten(1)], -1)
        return self.classify(output), _named(Recurrent(output, c, memory))


def _named(state: Recurrent) -> dict[str, Tensor]:
    return {"output": state.output, "cell": state.cell, **state.memory._asdict()}


def _recurrent(state: State) -> Recurrent:
    return Recurrent(state["output"], state["cell"], Memory(state["slots"], state["usage"], state["read_weights"]))
