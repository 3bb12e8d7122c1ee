"""`python -m triarb` is the triarb command."""

import sys

from triarb.cli import main

if __name__ == "__main__":
    sys.exit(main())
