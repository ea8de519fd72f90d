"""``python -m tests.contract [VENUE ...]``: run the contract suite and show what each venue keeps. Exit code 1 unless all do."""

import argparse
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.contract.cases import CASES
from tests.contract.table import FAIL, Outcomes, rows, table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venues", nargs="*", choices=[[], *(case.name for case in CASES)], metavar="VENUE")
    only = frozenset(parser.parse_args().venues)
    outcomes = Outcomes(only=only)
    told = pytest.main([str(Path(__file__).parent), "-q", "-p", "no:cacheprovider", "-p", "no:xdist"], plugins=[outcomes])
    shown = rows([case for case in CASES if not only or case.name in only], outcomes)
    Console().print(table(shown))
    return int(told != pytest.ExitCode.OK or any(cell.startswith(FAIL) for row in shown for cell in row))


if __name__ == "__main__":
    sys.exit(main())
