"""Time loading all of Omniglot at 28×28: from the package the first time, from the cache after that.

    python -m benchmarks.load

Marks: under 3 s the first time, under 0.3 s from the cache (PyTorch already imported).
"""

import os
import sys
import tempfile
import time

from kshot.data.pictures.omniglot import Omniglot


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KSHOT_CACHE"] = folder
        seconds = []
        for _ in range(4):
            began = time.perf_counter()
            Omniglot().split("vinyals")
            seconds.append(time.perf_counter() - began)
    first, cached = seconds[0], sorted(seconds[1:])[1]
    print("loading Omniglot, 32,460 drawings at 28×28, with the Vinyals split")
    print(f"  first time  {first:.2f} s   mark 3")
    print(f"  from cache  {cached:.2f} s   mark 0.3")
    return 0 if first < 3 and cached < 0.3 else 1


if __name__ == "__main__":
    sys.exit(main())
