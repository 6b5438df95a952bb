"""``python -m photowords``."""

import sys

from photowords.cli import main

sys.exit(main())
