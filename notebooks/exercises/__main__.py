"""`python -m exercises ch05`: check the answers to a chapter; exit code 0 if all are right."""

import argparse
import sys

from . import HERE, all_right

parser = argparse.ArgumentParser(prog="python -m exercises", description=__doc__)
parser.add_argument("chapters", nargs="+", metavar="CHAPTER", help="for instance ch05")
parser.add_argument("--answers", default=HERE, metavar="FOLDER", help="where ch05.py is")
options = parser.parse_args()
try:
    wrong = [chapter for chapter in options.chapters if not all_right(chapter, options.answers)]
except ValueError as error:  # there is no such chapter
    parser.error(str(error))
sys.exit(bool(wrong))
