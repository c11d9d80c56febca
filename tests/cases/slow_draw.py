"""Counter-based random numbers and drawing without replacement, in plain Python integers."""

MASK = 2**64 - 1


def slow_word(seed: int, position: int) -> int:
    """SplitMix64: the word at a position of a stream."""
    z = (seed + (position + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def slow_sample(seed: int, start: int, count: int, candidates: list[int], largest: int) -> list[int]:
    """`count` of the candidates in random order: picked one by one if they are few, sorted by a key each if they are many."""
    if count <= 24:
        left = list(candidates)
        return [left.pop((slow_word(seed, start + i) >> 32) * len(left) >> 32) for i in range(count)]
    keys = [slow_word(seed, start + i) for i in range(largest)]
    return [candidate for _, candidate in sorted(zip(keys, candidates, strict=False))][:count]
