"""Which promises of the contract each venue keeps: outcomes of the suite's tests, gathered into one row a venue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.table import Table

from tests.contract.case import Ability, VenueCase

REBALANCE = "test_whole_rebalance"
COLUMNS: tuple[tuple[str, str, Ability | None], ...] = (
    ("contract suite", "", None),
    ("whole rebalance", REBALANCE, None),
    ("lookup by client id", "test_lookup", None),
    ("cancel", "test_cancel", Ability.RESTING),
    ("duplicate id", "test_duplicates", Ability.DUPLICATES),
    ("reject codes", "test_rejections", Ability.REJECTIONS),
    ("ambiguous outcomes", "test_ambiguous", Ability.WIRE),
    ("testnet host check", "test_environments", Ability.TESTNET),
)
"""Heading, module of tests (none: every one but the whole rebalance), and the ability without which there is nothing to prove."""
OK, FAIL = "ok", "FAIL"


@dataclass(slots=True)
class Outcomes:
    """A pytest plugin that keeps what became of each test of each venue. only: names of venues, all of them where empty."""

    only: frozenset[str] = frozenset()
    passed: dict[tuple[str, str], bool] = field(default_factory=dict)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not self.only or _venue_of(item) in self.only]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        report = yield
        venue = _venue_of(item)
        if venue is not None:
            self.note(item.path.stem, venue, passed=report.passed)
        return report

    def note(self, module: str, venue: str, *, passed: bool) -> None:
        """One phase of one test; a module keeps its promise only if each of them passed."""
        self.passed[module, venue] = self.passed.get((module, venue), True) and passed

    def cell(self, case: VenueCase, module: str, ability: Ability | None) -> str:
        """What is said of one promise."""
        ran = [
            passed
            for (other, venue), passed in self.passed.items()
            if venue == case.name and (other == module or (not module and other != REBALANCE))
        ]
        if not all(ran):
            return FAIL
        if ability is not None and ability in case.lacks:
            return f"none: {case.lacks[ability]}"
        return OK if ran else f"{FAIL}: no test ran"


def _venue_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    case = None if callspec is None else callspec.params.get("case")
    return None if case is None else str(case.name)


def rows(cases: Iterable[VenueCase], outcomes: Outcomes) -> list[list[str]]:
    """One for each venue: its name, then a cell for each column."""
    return [[case.name, *(outcomes.cell(case, module, ability) for _, module, ability in COLUMNS)] for case in cases]


def table(shown: Sequence[Sequence[str]]) -> Table:
    """``rows`` for a human."""
    made = Table("venue", *(heading for heading, _, _ in COLUMNS), title="What each venue keeps of the contract")
    for row in shown:
        made.add_row(*row)
    return made
