"""How well sets and `unknown` hold: the measured numbers of the page, with their intervals."""

import json

from matplotlib.figure import Figure

from pictures.kit import ROOT, Theme, new_plot, tidy

DATA = (("banking77", "BANKING77"), ("clinc150", "CLINC150"), ("grocery_store", "Grocery Store"))
OUTSIDE = (
    ("clinc150", "out_of_scope", "CLINC150,\nout of scope"),
    ("banking77_oos", "ood_oos", "BANKING77,\nout of domain"),
    ("banking77_oos", "id_oos", "BANKING77,\nin domain"),
)


def draw(theme: Theme) -> Figure:
    """On the left, coverage of sets with the correction and without; on the right, things of no known class that are found."""
    record = json.loads((ROOT / "scripts" / "certainty.json").read_text(encoding="utf-8"))
    figure, (left, right) = new_plot(2, height=3.4)
    for key, label, colour, mark, shift in (
        ("coverage", "corrected", theme.blue, "o", -0.12),
        ("uncorrected", "as left out", theme.orange, "s", 0.12),
    ):
        found = [record["fitted"][name]["training_files"][key] for name, _ in DATA]
        places = [place + shift for place in range(len(DATA))]
        spread = [one["interval"] for one in found]
        left.errorbar(
            [one["mean"] for one in found], places, xerr=spread, fmt=mark, color=colour, label=label, markersize=5, elinewidth=1.5
        )
    left.axvline(record["coverage"], color=theme.muted, linewidth=1)
    left.set_yticks(range(len(DATA)), [title for _, title in DATA])
    left.set_ylim(len(DATA) - 0.5, -0.5)
    left.set_title("coverage, 0.9 asked", fontsize=10)
    tidy(left, theme, "share of sets with the right class", "")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), fontsize=9, ncols=2)
    for key, label, colour, shift in (
        ("found", "familiarity", theme.blue, -0.18),
        ("found_by_probability", "probability", theme.orange, 0.18),
    ):
        found = [record["unknown"][name][part][key] for name, part, _ in OUTSIDE]
        places = [place + shift for place in range(len(OUTSIDE))]
        right.barh(
            places,
            [one["mean"] for one in found],
            0.34,
            xerr=[one["interval"] for one in found],
            color=colour,
            ecolor=theme.ink,
            label=label,
        )
    right.set_yticks(range(len(OUTSIDE)), [title for _, _, title in OUTSIDE])
    right.set_ylim(len(OUTSIDE) - 0.5, -0.5)
    right.set_xlim(0, 1)
    right.set_title("found, at 5 % false alarms", fontsize=10)
    tidy(right, theme, "share found", "")
    right.legend(loc="upper center", bbox_to_anchor=(0.4, -0.24), fontsize=9, ncols=2)
    return figure
