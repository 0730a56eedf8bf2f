"""`python -m exercises ch05`: check the answers to a chapter."""

import sys

from . import check

for chapter in sys.argv[1:] or sys.exit("name a chapter: python -m exercises ch05"):
    check(chapter)
