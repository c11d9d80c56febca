"""Published numbers beside which ours are recorded, each with its source: where it stands, and where it was read.

    python scripts/published.py

This writes `published`, `source` and `published_updates` of every entry of `recipes/results.json` again; nothing is measured. Then run
`python scripts/fill_tables.py`. A number whose own paper could not be read says "as commonly quoted".
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kshot.atomic import write_json

RESULTS = Path(__file__).parents[1] / "src" / "kshot" / "recipes" / "results.json"
SETTINGS = ((5, 1), (5, 5), (20, 1), (20, 5))


@dataclass(frozen=True)
class Paper:
    """A paper, or a table of one.

    Attributes:
        name: Authors and year, which stand beside the number.
        place: The table and the page, or the file of the authors' repository.
        quoted: The paper's own text could not be read; its numbers are those that others quote.
    """

    name: str
    place: str
    quoted: bool = False

    def shown(self, number: str) -> dict[str, str]:
        """Return `published` and `source` of an entry."""
        mark = ", as commonly quoted" * self.quoted
        return {"published": f"{number} ({self.name}{mark})", "source": f"{self.name}, {self.place}{mark}"}


SNELL = Paper("Snell et al. 2017", "Table 1, page 5")
VINYALS = Paper("Vinyals et al. 2016", "Table 1, read in Snell et al. 2017, Table 1, page 5")
VINYALS_PIXELS = Paper("Vinyals et al. 2016", "Table 1, pixels by cosine", quoted=True)
VINYALS_CLASSIFIER = Paper("Vinyals et al. 2016", "Table 1, a classifier, fine-tuned", quoted=True)
KOCH = Paper("quoted by Finn et al. 2017", "Table 1, page 7, as those of Koch et al. 2015, whose own test is another")
SUNG = Paper("Sung et al. 2018", "Table 1", quoted=True)
MISHRA = Paper("Mishra et al. 2018", "Table 1", quoted=True)
BERTINETTO = Paper("Bertinetto et al. 2019", "R2-D2 on a wider network", quoted=True)
FINN = Paper("Finn et al. 2017", "Table 1, page 7")
FINN_SINUSOIDS = Paper("Finn et al. 2017", "Table 2, page 12")
FINN_JOINT = Paper("Finn et al. 2017", "Table 2, page 12, pretrained on all tasks")
NICHOL = Paper("Nichol et al. 2018", "Table 2", quoted=True)
NICHOL_RERUN = Paper("Nichol et al. 2018", "Table 2, a rerun of the code of Finn et al. 2017, whose paper has no such number", quoted=True)
LI = Paper("Li et al. 2017", "Table 2", quoted=True)
ANTONIOU = Paper("Antoniou et al. 2019", "the table of 5-way Omniglot", quoted=True)
RAJESWARAN = Paper("Rajeswaran et al. 2019", "the table of Omniglot, by gradient descent", quoted=True)
LAKE = Paper("Lake et al. 2015", "page 1335")
LAKE_HAUSDORFF = Paper("Lake et al. 2015", "page 1335, and `demo_classification.py` of the authors' repository of Omniglot")
LAKE_REPORT = Paper("Lake et al. 2019", "the table of errors within an alphabet", quoted=True)

FOUR: dict[str, tuple[Paper, str, str, str, str]] = {
    "omniglot-protonet": (SNELL, "98.8", "99.7", "96.0", "98.9"),
    "omniglot-matching": (VINYALS, "98.1", "98.9", "93.8", "98.5"),
    "omniglot-matching-scaled": (VINYALS, "98.1", "98.9", "93.8", "98.5"),
    "omniglot-matching-fce": (VINYALS, "98.1", "98.9", "93.8", "98.5"),
    "omniglot-siamese": (KOCH, "97.3", "98.4", "88.2", "97.0"),
    "omniglot-relation": (SUNG, "99.6", "99.8", "97.6", "99.1"),
    "omniglot-snail": (MISHRA, "99.07 ± 0.16", "99.78 ± 0.09", "97.64 ± 0.30", "99.36 ± 0.18"),
    "omniglot-ridge": (BERTINETTO, "98.91", "99.74", "96.24", "99.20"),
    "omniglot-finetune": (VINYALS_CLASSIFIER, "86.0", "97.6", "72.9", "92.3"),
    "nearest": (VINYALS_PIXELS, "41.7", "63.2", "26.7", "42.6"),
}
"""Accuracies in per cent of the four `SETTINGS`."""

OTHERS: dict[tuple[str, str], tuple[Paper, str]] = {
    ("omniglot-maml", "5-way 1-shot, transductive, 1 query per class"): (FINN, "98.7 ± 0.4"),
    ("omniglot-maml-5-shot", "5-way 5-shot, transductive, 5 queries per class"): (FINN, "99.9 ± 0.1"),
    ("omniglot-maml-20-way", "20-way 1-shot, transductive, 1 query per class"): (FINN, "95.8 ± 0.3"),
    ("omniglot-first-order-maml", "5-way 1-shot, transductive, 1 query per class"): (NICHOL_RERUN, "98.3 ± 0.5"),
    ("omniglot-meta-sgd", "5-way 1-shot, transductive, 1 query per class"): (LI, "99.53 ± 0.26"),
    ("omniglot-maml-plus-plus", "5-way 1-shot, transductive, 1 query per class"): (ANTONIOU, "99.47"),
    ("omniglot-imaml", "5-way 1-shot, transductive, 1 query per class"): (RAJESWARAN, "99.16"),
    ("omniglot-reptile", "5-way 1-shot, transductive, 1 query per class"): (NICHOL, "97.68 ± 0.04"),
    ("omniglot-reptile", "5-way 1-shot, inductive, 1 query per class"): (NICHOL, "95.39 ± 0.09"),
    ("sinusoid-maml", "5-shot, 1 step"): (FINN_SINUSOIDS, "0.67"),
    ("sinusoid-maml", "5-shot, 5 steps"): (FINN_SINUSOIDS, "0.38"),
    ("sinusoid-maml", "5-shot, 10 steps"): (FINN_SINUSOIDS, "0.35"),
    ("sinusoid-joint", "5-shot, 1 step"): (FINN_JOINT, "2.41"),
    ("sinusoid-joint", "5-shot, 5 steps"): (FINN_JOINT, "2.23"),
    ("sinusoid-joint", "5-shot, 10 steps"): (FINN_JOINT, "2.19"),
    ("lake-local-matching", "Lake's 20 runs"): (LAKE, "95.5 people, 96.7 BPL"),
    ("lake-protonet", "Lake's 20 runs"): (LAKE_REPORT, "86.3"),
    ("hausdorff", "Lake's 20 runs"): (LAKE_HAUSDORFF, "61.2"),
}
"""Numbers of single settings: accuracies in per cent, or mean squared errors of sinusoids."""

UPDATES = {
    "omniglot-maml": 60_000,  # Finn et al. 2017, page 11
    "omniglot-maml-5-shot": 60_000,
    "omniglot-maml-20-way": 60_000,
    "omniglot-first-order-maml": 60_000,
    "sinusoid-maml": 70_000,  # main.py of the authors' repository
    "omniglot-reptile": 100_000,  # Nichol et al. 2018, appendix A, as commonly quoted
    "omniglot-maml-plus-plus": 50_000,  # experiment_config of the authors' repository: 100 epochs of 500
    "omniglot-imaml": 20_000,  # examples/README.md of the authors' repository, which has 32 tasks per update
    "omniglot-relation": 1_000_000,  # omniglot_train_one_shot.py of the authors' repository
}
"""How many updates the authors took, where this is known."""


def published_of(recipe: str, setting: str) -> dict[str, Any]:
    """Return the fields `published` (the number and its paper, or `none`), `source` (None without a number) and `published_updates`."""
    found = OTHERS.get((recipe, setting))
    if recipe in FOUR:
        paper, *numbers = FOUR[recipe]
        found = dict(zip((f"{way}-way {shot}-shot" for way, shot in SETTINGS), ((paper, number) for number in numbers), strict=True))[
            setting
        ]
    shown: dict[str, Any] = {"published": "none", "source": None} if found is None else dict(found[0].shown(found[1]))
    return shown | {"published_updates": UPDATES.get(recipe)}


def main() -> None:
    """Write what is published into every entry."""
    entries = json.loads(RESULTS.read_text(encoding="utf-8"))
    write_json(RESULTS, [entry | published_of(entry["recipe"], entry["setting"]) for entry in entries])


if __name__ == "__main__":
    main()
