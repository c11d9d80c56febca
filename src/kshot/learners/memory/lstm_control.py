"""An LSTM without external memory: the control experiment beside `kshot.learners.memory.mann`.

Adam Santoro et al., "Meta-Learning with Memory-Augmented Neural Networks", ICML 2016, arXiv 1605.06065, table 1, "LSTM": the same protocol,
loss and controller, and the controller's own state as the only memory. With x_t the item and y_{t-1} the label before it:

    h_t, c_t = LSTM([x_t, y_{t-1}], h_{t-1}, c_{t-1})      P(y_t) = softmax(W h_t + b)

Departures: none. Measured: docs/learners/mann.md.
"""

import torch
from torch import Tensor, nn

from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.learner import require_family
from kshot.learners.memory.label_code import LabelCode
from kshot.learners.memory.sequence_learner import SequenceLearner, State
from kshot.learners.settings import require_count


class LSTMControl(SequenceLearner):
    """An LSTM that reads items with the labels of the items before them.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D. Recipes fill it in.
        outputs: Number of one-hot labels, the largest way; with `characters` above 1, the number of letters.
        characters: Characters per label; 5 with `outputs=5` is the paper's string labels.
        hidden: H, the size of the LSTM.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A count is not positive.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        outputs: int = 5,
        *,
        characters: int = 1,
        hidden: int = 200,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, count in (("features", features), ("hidden", hidden)):
            require_count(name, count, 1)
        self.backbone = backbone
        self.features = features
        self.code = LabelCode(outputs, characters)
        self.lstm = nn.LSTM(features + self.code.size, hidden)
        self.classify = nn.Linear(hidden, self.code.size)
        self.family = require_family(family, "classification", type(self).__name__)

    def begin(self, tasks: int, like: Tensor) -> dict[str, Tensor]:
        """Return h_0 = c_0 = 0, (B, H) each."""
        return {name: like.new_zeros(tasks, self.lstm.hidden_size) for name in ("output", "cell")}

    def follow(self, inputs: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Do T steps: (T, B, I) → logits (T, B, L · A), and the state after them."""
        outputs, (h, c) = self.lstm(inputs, (state["output"][None], state["cell"][None]))
        return self.classify(outputs), {"output": h[0], "cell": c[0]}

    def glance(self, inputs: Tensor, state: State) -> Tensor:
        """Answer each item as the next one: (B, Q, I) → (B, Q, L · A)."""
        B, Q, _ = inputs.shape
        h, c = (torch.repeat_interleave(state[name], Q, 0)[None] for name in ("output", "cell"))  # (1, B · Q, H)
        outputs, _ = self.lstm(inputs.reshape(1, B * Q, -1), (h, c))
        logits: Tensor = self.classify(outputs[0])
        return logits.view(B, Q, -1)
