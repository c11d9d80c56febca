"""Put the output of `kshot compare` into a page.

    kshot compare … > comparison.txt
    python scripts/publish_comparison.py comparison.txt NAME

In each page, the text between `<!-- comparison: NAME -->` and `<!-- end -->` is replaced by the tables and the sentence. The notes are left
out, because the pages give them in their own words.
"""

import argparse
import re
from pathlib import Path

from fill_tables import PAGES


def shown(output: str) -> str:
    """Return the part of the output before the notes, with the hash of the episodes in its short form."""
    before = output.partition("\n- ")[0].strip()
    return re.sub(r"(episodes [0-9a-f]{12})[0-9a-f]{52}", r"\1…", before)


def main() -> None:
    """Fill every page that has a place of that name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("name")
    options = parser.parse_args()
    text, places = shown(options.output.read_text()), 0
    for path in PAGES:
        page = path.read_text()
        filled, found = re.subn(
            rf"<!-- comparison: {options.name} -->.*?<!-- end -->",
            lambda _: f"<!-- comparison: {options.name} -->\n{text}\n<!-- end -->",
            page,
            flags=re.DOTALL,
        )
        path.write_text(filled)
        places += found
    print(f"{places} places filled")


if __name__ == "__main__":
    main()
