"""`python -m benchmarks`: run every benchmark, one after another, each in its own process; exit code 1 if a mark is missed."""

import subprocess
import sys

NAMES = (
    "load",
    "draw",
    "meta_step",
    "memory",
    "compare",
    "embed_photographs",
    "fit_examples",
    "conv_block",
    "inner_loop",
    "learned_update",
    "mann_step",
    "read_pictures",
    "large_table",
)


def main() -> int:
    """Run all benchmarks and print at the end which ones missed a mark."""
    missed = []
    for name in NAMES:
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            missed.append(name)
        print(flush=True)
    print(f"marks missed in: {', '.join(missed)}" if missed else "every mark was met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
