"""Draw the pictures of the pages: all of them, or those that are named. `make pictures` calls it."""

import argparse
from collections.abc import Callable

from matplotlib.figure import Figure

from pictures import (
    augmentation,
    clipping,
    cost,
    diversity,
    episode,
    how_sure,
    learned_updates,
    loops,
    maml_step,
    memory,
    pixels,
    presentations,
    pretrained,
    prototypes,
    shots,
    stopping,
    suggest,
    task,
)
from pictures.kit import FOLDER, THEMES, Theme, svg, themed

PICTURES: dict[str, Callable[[Theme], Figure]] = {
    "augmentation": augmentation.draw,
    "clipping": clipping.draw,
    "cost": cost.draw,
    "diversity": diversity.draw,
    "episode": episode.draw,
    "how-sure": how_sure.draw,
    "learned-updates": learned_updates.draw,
    "loops": loops.draw,
    "maml-step": maml_step.draw,
    "memory": memory.draw,
    "pixels": pixels.draw,
    "presentations": presentations.draw,
    "pretrained": pretrained.draw,
    "prototypes": prototypes.draw,
    "shots": shots.draw,
    "stopping": stopping.draw,
    "suggest": suggest.draw,
    "task": task.draw,
}


def files(name: str) -> dict[str, bytes]:
    """The two variants of a picture: file name → SVG."""
    drawn = {}
    for theme in THEMES:
        with themed(theme):
            drawn[f"{name}-{theme.name}.svg"] = svg(PICTURES[name](theme))
    return drawn


def main() -> None:
    """Write the files into `docs/images/concepts`, and say which of them changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(PICTURES)}; all of them when none is named")
    names = parser.parse_args().names or list(PICTURES)
    if unknown := set(names) - set(PICTURES):
        parser.error(f"there is no picture {', '.join(sorted(unknown))}; known: {', '.join(PICTURES)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names:
        for file, content in files(name).items():
            path = FOLDER / file
            same = path.exists() and path.read_bytes() == content
            path.write_bytes(content)
            print(f"{path.name}: {'unchanged' if same else 'written'}, {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
