"""`python -m tests.hostile.fuzz FIRST COUNT [KIND ...]` tries so many seeds of each kind of hostile input."""

import argparse
import importlib
import os
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from tests.hostile.guard import ends_well, small_networks

KINDS = ("pictures", "tables", "runs", "weights", "commands")


def campaign(kind: str, folder: Path, seeds: range) -> int:
    """Try seeds and print what ended badly; how many did."""
    cases, ends = importlib.import_module(f"tests.hostile.{kind}").Cases(folder), Counter[str]()
    for seed in seeds:
        case = cases.case(seed)
        try:
            ends[ends_well(case)] += 1
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            ends["bad"] += 1
            sys.stdout.write(f"{case.name}: {type(error).__name__}: {str(error)[:300]}\n")
            sys.stdout.write("".join(traceback.format_tb(error.__traceback__)[-3:]))
            sys.stdout.flush()
    sys.stdout.write(f"{kind}: {len(seeds):,} cases, {', '.join(f'{ends[end]:,} {end}' for end in sorted(ends))}\n")
    return ends["bad"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("kinds", nargs="*", default=KINDS, choices=KINDS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, small_networks():
        os.environ["REIDGEN_CACHE"] = str(Path(folder, "cache"))
        seeds = range(given.first, given.first + given.count)
        sys.exit(min(sum(campaign(kind, Path(folder, kind), seeds) for kind in given.kinds), 1))


if __name__ == "__main__":
    main()
