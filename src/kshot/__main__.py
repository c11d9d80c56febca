"""`python -m kshot` is the command `kshot`."""

from kshot.cli import main

main()
