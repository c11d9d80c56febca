"""A comparison in plain words, from its paired differences.

In: the standings at each number of shots. Out: a sentence, for example `protonet beats finetune by 3.1 ± 0.4 points at 1 shot; at 20 shots
they do not differ.` Two learners are described as a pair over all shots. More learners are described shot by shot, each against the best.

`A beats B` means that the 95 % interval of their paired difference excludes 0; `do not differ` means that it contains 0.
"""

from collections.abc import Mapping, Sequence

from kshot.results.compare.paired import Difference, Standing

Standings = Mapping[str, Sequence[Standing]]
"""Shots in words (`1`, `1–5`) → the learners, best first."""


def sentence(standings: Standings, score_name: str = "accuracy") -> str:
    """Say what the comparison shows.

    Args:
        standings: Standings of the same two or more learners at each number of shots.
        score_name: Name of the score. Differences of `accuracy` are given in percentage points; others are given with this name.

    Example:
        >>> from kshot.results.compare.paired import Difference, Standing
        >>> def at(mean, interval):
        ...     return [Standing("protonet", 0.9, 0.01, Difference(0, 0, 600)), Standing("finetune", 0.9 + mean, 0.01,
        ...             Difference(mean, interval, 600))]
        >>> sentence({"1": at(-0.031, 0.004), "20": at(-0.001, 0.002)})
        'protonet beats finetune by 3.1 ± 0.4 points at 1 shot; at 20 shots they do not differ.'
    """
    first = next(iter(standings.values()))
    if first[0].difference.episodes < 2:
        return "One episode cannot tell learners apart: it has no interval."
    if len(first) == 2:
        return _of_two(standings, score_name)
    return " ".join(_of_many(shot, standing, score_name) for shot, standing in standings.items())


def amount(difference: Difference, score_name: str = "accuracy") -> str:
    """Return the size of a difference with its interval, without sign and unit.

    Accuracies are in percentage points, with one digit after the point, or two if the interval is less than a tenth of a point.

    Example:
        >>> amount(Difference(-0.031, 0.004, 600)), amount(Difference(0.0012, 0.0005, 600)), amount(Difference(0.5, 0.02, 9), "mean")
        ('3.1 ± 0.4', '0.12 ± 0.05', '0.5 ± 0.02')
    """
    mean, interval = abs(difference.mean), difference.interval
    if score_name != "accuracy":
        return f"{mean:.4g} ± {interval:.2g}"
    digits = 1 if 100 * interval >= 0.095 else 2
    return f"{100 * mean:.{digits}f} ± {100 * interval:.{digits}f}"


def joined(words: Sequence[str]) -> str:
    """Join words as `a`, `a and b`, or `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _of_two(standings: Standings, score_name: str) -> str:
    won: dict[tuple[str, str], list[str]] = {}
    equal: list[str] = []
    for shot, (best, other) in standings.items():
        if other.difference.differs:
            margin = f"by {amount(other.difference, score_name)}{_unit(score_name)} {_at([shot])}"
            won.setdefault((best.name, other.name), []).append(margin)
        else:
            equal.append(shot)
    parts = [f"{best} beats {other} {joined(margins)}" for (best, other), margins in won.items()]
    if equal:
        names = joined(sorted(one.name for one in next(iter(standings.values()))))
        parts.append(f"{_at(equal)} they do not differ" if won else f"{names} do not differ {_at(equal)}")
    return "; ".join(parts) + "."


def _of_many(shot: str, standing: Sequence[Standing], score_name: str) -> str:
    best, *others = standing
    beaten = [f"{one.name} by {amount(one.difference, score_name)}" for one in others if one.difference.differs]
    equal = sorted(one.name for one in others if not one.difference.differs)
    if not beaten:
        return f"{_at([shot]).capitalize()}, no learner differs from {best.name}, whose mean is the best."
    tail = f"; {joined(equal)} {'does' if len(equal) == 1 else 'do'} not differ from it" if equal else ""
    return f"{_at([shot]).capitalize()}, {best.name} is the best: it beats {joined(beaten)}{_unit(score_name)}{tail}."


def _unit(score_name: str) -> str:
    return " points" if score_name == "accuracy" else f" in {score_name}"


def _at(shots: Sequence[str]) -> str:
    return f"at {joined(shots)} shot{'' if list(shots) == ['1'] else 's'}"
