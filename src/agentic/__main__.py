"""``python -m agentic``."""

import sys

from agentic._cli import main

if __name__ == "__main__":  # pragma: no branch - nobody imports it
    sys.exit(main())
