"""What a fund charges, as an operator writes it: read whole, and refused by key, value and remedy."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.ledger import FeeTerms
from tests.fakes.configurations import PAPER, loaded, problems

D = Decimal
SOON = datetime(2026, 12, 1, tzinfo=UTC)


def fees(text: str) -> str:
    return f"{PAPER}fees = {text}\n"


def terms_of(folder: Path, text: str, **env: str) -> FeeTerms:
    return loaded(folder, text, env).funds["btc3l"].fees.terms()


def test_fees_become_terms(tmp_path: Path) -> None:
    told = "{ management = 0.01, performance = '0.2', creation = 0.001, redemption = 0.002, payees = { ann = 0.7, ben = 0.3 } }"
    assert terms_of(tmp_path, fees(told)) == FeeTerms(
        management=D("0.01"),
        performance=D("0.2"),
        creation=D("0.001"),
        redemption=D("0.002"),
        payees={"ann": D("0.7"), "ben": D("0.3")},
    )
    assert terms_of(tmp_path, PAPER) == FeeTerms() == terms_of(tmp_path, fees("{ payees = { manager = 1 } }"))


@pytest.mark.parametrize("day", ["2026-12-01", '"2026-12-01"', "2026-12-01T02:00:00+02:00", '"2026-12-01T00:00:00Z"'])
def test_a_day_begins_in_utc(tmp_path: Path, day: str) -> None:
    assert terms_of(tmp_path, fees(f"{{ from = {day} }}")).since == SOON


def test_the_environment_sets_fees_too(tmp_path: Path) -> None:
    env = {"KEEPER__FUNDS__BTC3L__FEES__FROM": "2026-12-01", "KEEPER__FUNDS__BTC3L__FEES__PAYEES": "{ ann = 1 }"}
    assert terms_of(tmp_path, PAPER, **env) == FeeTerms(payees={"ann": D(1)}, since=SOON)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("{ management = 1.01 }", "management = 1.01", "must be at least 0 and at most 1"),
        ("{ performance = 20 }", "performance = 20", "must be at least 0 and at most 1"),
        ("{ performance = -0.1 }", "performance = -0.1", "must be at least 0"),
        ("{ creation = 1 }", "creation = 1", "below 1"),
        ("{ redemption = '1' }", 'redemption = "1"', "below 1"),
        ("{ management = '1e-2' }", 'management = "1e-2"', "plain decimal"),
        ("{ payees = { ann = 0.3 } }", "payees = { ann = 0.3 }", "must come to 1, these come to 0.3"),
        ("{ payees = { ann = 0.7, ben = 0.7 } }", "payees", "these come to 1.4"),
        ("{ payees = { ann = 0, ben = 1 } }", "payees.ann = 0", "above 0"),
        ("{ payees = { 'The manager' = 1 } }", 'payees."The manager"', 'such as "the_manager"'),
        ("{ from = 2026-12-01T00:00:00 }", "from = 2026-12-01T00:00:00", 'a day such as "2026-12-01"'),
        ("{ from = 'soon' }", 'from = "soon"', 'a day such as "2026-12-01"'),
        ("{ from = '2026-13-01' }", 'from = "2026-13-01"', 'a day such as "2026-12-01"'),
        ("{ from = 7 }", "from = 7", 'a day such as "2026-12-01"'),
        ("{ form = 2026-12-01 }", "form", 'did you mean "from"?'),
        ("{ since = 2026-12-01 }", "since", "unknown key"),
        ("3", "fees = 3", "must be a table"),
    ],
)
def test_what_no_fee_can_be_is_refused_with_file_key_value_and_remedy(tmp_path: Path, text: str, key: str, words: str) -> None:
    [problem] = problems(tmp_path, fees(text))
    assert str(problem).startswith(f"{tmp_path}/keeper.toml:9: funds.btc3l.fees")
    assert key in str(problem)
    assert words in problem.remedy
