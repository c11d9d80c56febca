"""Makes `python -m hostile` run the suite (`hostile.run`)."""

import sys

from hostile.run import main

sys.exit(main(sys.argv[1:]))
