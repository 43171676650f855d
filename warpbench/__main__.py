"""`python -m warpbench`."""

import sys

from warpbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
