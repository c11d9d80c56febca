"""What the augmentations make of one real character: five draws of each, as an episode would meet them."""

import numpy as np
import torch
from matplotlib.figure import Figure

from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.augment import AUGMENTATIONS
from pictures.characters import episode
from pictures.kit import Sheet, Theme

ROWS = (
    ("quarter_turns", "another class: all items of\na class turn alike"),
    ("mirror", "another class, mirrored"),
    ("affine", "the same class: each item\nmoves on its own"),
    ("elastic", "the same class: and bends"),
)
DRAWS = 5


def draw(theme: Theme) -> Figure:
    """One row per augmentation; the first drawing of the sheet is the character as it is."""
    item = episode().support_items[0][2:3]
    original = Omniglot(size=56).gather(item)  # (1, 1, 56, 56)
    generator = np.random.default_rng(4)
    sheet = Sheet.new(theme, 3.75)
    for row, (name, words) in enumerate(ROWS):
        y, rule = 12 + 90 * row, AUGMENTATIONS[name]
        sheet.text(12, y + 22, name, bold=True, align="left", colour=theme.blue if rule.kinds > 1 else theme.orange)
        sheet.text(12, y + 51, words, size=9, align="left", colour=theme.muted)
        drawn = rule.draw(generator.integers(0, 2**63, (rule.words, DRAWS), dtype=np.uint64), 1)[:, 0]
        if rule.kinds > 1:
            drawn = np.arange(DRAWS, dtype=np.int16) % rule.kinds  # every class that it makes
        changed = rule.apply(original.expand(DRAWS, -1, -1, -1), drawn)
        assert isinstance(changed, torch.Tensor)
        for place in range(min(DRAWS, rule.kinds) if rule.kinds > 1 else DRAWS):
            sheet.drawing(changed[place, 0].numpy() / 255.0, 212 + 84 * place, y, 72)
    return sheet.figure
