"""``python -m bench``."""

import sys

from bench.frame.command import main

sys.exit(main(sys.argv[1:]))
