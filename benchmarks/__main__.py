"""`python -m benchmarks`: every benchmark, one after another, each in a process of its own; exit code 1 when a mark is missed."""

import subprocess
import sys

NAMES = ("load", "draw", "meta_step", "memory", "compare", "conv_block", "inner_loop")


def main() -> int:
    """Run them all; which ones missed a mark is said at the end."""
    missed = []
    for name in NAMES:
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            missed.append(name)
        print(flush=True)
    print(f"marks missed in: {', '.join(missed)}" if missed else "every mark was met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
