"""The table of the contract suite: a promise counts as kept only if every one of its tests ran and passed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract import binanceusdm_case, paper_case
from tests.contract.table import COLUMNS, Outcomes, rows

ROOT = Path(__file__).parents[2]
MODULES = [module for _, module, _ in COLUMNS if module]


def outcomes(failed: str = "", *, without: str = "") -> Outcomes:
    """Of a suite whose tests passed, but for one phase in the module ``failed``."""
    told = Outcomes()
    for module in (*MODULES, "test_reading"):
        for phase in range(3):
            if module != without:
                told.note(module, "binanceusdm", passed=module != failed or phase != 1)
    return told


def told_of(told: Outcomes) -> dict[str, str]:
    [(_, *cells)] = rows([binanceusdm_case.CASE], told)
    return dict(zip([heading for heading, _, _ in COLUMNS], cells, strict=True))


def test_a_venue_whose_tests_all_passed_keeps_every_promise() -> None:
    assert set(told_of(outcomes()).values()) == {"ok"}


@pytest.mark.parametrize("module", [*MODULES, "test_reading"])
def test_one_failure_breaks_the_promise_of_its_module_and_the_suite_s(module: str) -> None:
    broken = {heading for heading, cell in told_of(outcomes(module)).items() if cell == "FAIL"}
    own = {heading for heading, other, _ in COLUMNS if other == module}
    assert broken == own | (set() if module == "test_whole_rebalance" else {"contract suite"})


def test_a_promise_that_no_test_looked_at_is_not_kept() -> None:
    assert told_of(outcomes(without="test_lookup"))["lookup by client id"] == "FAIL: no test ran"


def test_what_a_venue_lacks_is_told_with_the_reason_and_does_not_hide_a_failure() -> None:
    told = Outcomes()
    told.note("test_cancel", "paper", passed=True)
    [(_, *cells)] = rows([paper_case.CASE], told)
    assert cells[3] == f"none: {paper_case.ALONE}"
    told.note("test_cancel", "paper", passed=False)
    [(_, *cells)] = rows([paper_case.CASE], told)
    assert cells[3] == "FAIL"


def test_the_command_runs_the_suite_and_its_exit_code_follows() -> None:
    command = [sys.executable, "-m", "tests.contract", "paper"]
    env = os.environ | {"COLUMNS": "300"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stdout
    [row] = [line for line in done.stdout.splitlines() if line.startswith("│ paper")]
    assert [cell.strip() for cell in row.split("│")[2:6]] == ["ok", "ok", "ok", f"none: {paper_case.ALONE}"]
    unknown = subprocess.run([*command, "nowhere"], cwd=ROOT, env=env, capture_output=True, timeout=120, check=False)  # noqa: S603 - ours
    assert unknown.returncode == 2
