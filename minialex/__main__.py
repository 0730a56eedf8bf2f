"""`python -m minialex` is `minialex`."""

import sys

from .tools.cli import main

sys.exit(main())
