"""Makes `python -m kshot` run the command `kshot`."""

from kshot.cli import main

main()
