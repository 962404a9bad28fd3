"""`python -m tests.defects`: plant every defect of the table and show that the tests catch it."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.defects.plant import caught, copy, read_defects, run


def main() -> int:
    """Run, print a line for each defect, and answer 1 if one was not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.defects", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="those whose name has this in it")
    arguments = parser.parse_args()
    defects = [one for one in read_defects() if arguments.only in one.name]
    with tempfile.TemporaryDirectory(prefix="pagerelay-defects-") as name:
        folder = Path(name)
        copy(folder)
        tests = tuple(dict.fromkeys(test for one in defects for test in one.tests))
        status, said = run(tests, folder)
        print(f"without any defect: {said}", flush=True)
        if status != 0:
            print("the tests are red by themselves: nothing can be shown")
            return 1
        missed = 0
        for number, defect in enumerate(defects, 1):
            began = time.monotonic()
            red, said = caught(defect, folder)
            missed += not red
            word = "caught" if red else "MISSED"
            print(f"{number:>3}  {word}  {defect.name:<66} {time.monotonic() - began:5.1f} s  {said}", flush=True)
    print(f"{len(defects)} defects planted, {len(defects) - missed} caught")
    return 1 if missed or not defects else 0


if __name__ == "__main__":
    sys.exit(main())
