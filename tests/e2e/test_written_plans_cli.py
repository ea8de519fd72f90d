"""`plan --out` and `rebalance --plan` as an operator types them: what was looked at is done, or nothing is."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from keeper.planning.plan import digest
from keeper.system import SystemClock
from tests.fakes.command_line import CommandLine, started

PERP = "BTC/USDT:USDT"
CONFIG = f"""
[venues.sim]
exchange = "paper"
feed = {{ kind = "fixed", prices = {{ "{PERP}" = "105" }}, markets = {{ "{PERP}" = {{ taker_bps = 5 }} }} }}
account = {{ balances = {{ USDT = "100" }}, positions = {{ "{PERP}" = {{ contracts = "3", entry = "100" }} }} }}
[funds.btc3l]
venue = "sim"
target = {{ "{PERP}" = 3 }}
limits = {{ max_turnover_per_day = 10 }}
"""
BY_PLAN = ("rebalance", "--plan", "plan.json", "--yes", "--json")


@pytest.fixture
def planned(tmp_path: Path, keeper_here: CommandLine) -> CommandLine:
    """A plan lies in plan.json."""
    (tmp_path / "keeper.toml").write_text(CONFIG)
    made = keeper_here("plan", "--out", "plan.json", "--json")
    assert made.code == 2, made.err
    shown = {key: value for key, value in made.document.items() if key != "carry"}
    assert json.loads((tmp_path / "plan.json").read_text())["plan"] == shown
    assert made.said == [line for line in made.said if "keeper rebalance --plan plan.json" in line]
    return keeper_here


def edited(folder: Path, edit: Callable[[dict[str, Any]], object], *, sealed: bool) -> None:
    """Change the plan; sealed: and its digest, as only who means harm, or a test, would."""
    file = folder / "plan.json"
    document = json.loads(file.read_text())
    edit(document)
    if sealed:
        del document["digest"]
        document["digest"] = digest(document)
    file.write_text(json.dumps(document))


def never_traded(run: CommandLine) -> None:
    for told in run("runs", "list", "--json").document["runs"]:
        assert (told["status"], told["filled_notional"]) == ("refused", "0")


def test_a_plan_is_written_and_carried_out(planned: CommandLine) -> None:
    done = planned(*BY_PLAN)
    assert done.code == 0, done.err
    assert (done.document["status"], done.document["fund"]) == ("completed", "btc3l")
    assert Decimal("2.99999") < Decimal(done.document["leverage_after"]) <= 3
    again = planned(*BY_PLAN)
    assert again.code == 3
    assert "are held, the written plan was made of 3" in again.document["reason"]
    assert again.document["children"] == []


def test_a_plan_that_was_altered_sends_nothing(tmp_path: Path, planned: CommandLine) -> None:
    edited(tmp_path, lambda plan: plan.update(tolerance_bps="900"), sealed=False)
    refused = planned(*BY_PLAN)
    assert refused.code == 3
    assert "plan.json: it is not as it was written" in refused.err
    assert planned("runs", "list", "--json").document["runs"] == []


def test_a_plan_that_has_expired_sends_nothing(tmp_path: Path, planned: CommandLine) -> None:
    def age(plan: dict[str, Any]) -> None:
        for key in ("at", "expires_at"):
            plan[key] = (datetime.fromisoformat(plan[key]) - timedelta(minutes=6)).isoformat()

    edited(tmp_path, age, sealed=True)
    refused = planned(*BY_PLAN)
    assert refused.code == 3
    assert "the written plan holds from" in refused.document["reason"]
    never_traded(planned)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"105" }', '"105.4" }', "went from 105 to 105.4, further than 30 bps"),
        ("= 3 }", "= 2 }", "another configuration"),
        ("max_turnover_per_day = 10", "max_turnover_per_day = 9", "another configuration"),
        ('USDT = "100" }', 'USDT = "101" }', "the account is worth 116.00 USDT"),
        ('contracts = "3"', 'contracts = "3.1"', "3.1 of BTC/USDT:USDT are held"),
    ],
)
def test_a_plan_of_what_is_not_so_any_more_sends_nothing(
    tmp_path: Path, planned: CommandLine, old: str, new: str, words: str
) -> None:
    assert old in CONFIG
    (tmp_path / "keeper.toml").write_text(CONFIG.replace(old, new))
    refused = planned(*BY_PLAN)
    assert refused.code == 3, refused.err
    assert words in refused.document["reason"]
    never_traded(planned)


def test_a_tolerance_may_be_named(tmp_path: Path, planned: CommandLine) -> None:
    made = planned("plan", "--out", "wide.json", "--tolerance-bps", "50")
    assert made.code == 2, made.err
    assert json.loads((tmp_path / "wide.json").read_text())["tolerance_bps"] == "50"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "--out", "plan.json"), "plan.json is there already"),
        (("plan", "--out", "nowhere/plan.json"), "can't write nowhere/plan.json: No such file"),
        (("plan", "--tolerance-bps", "5"), "--tolerance-bps belongs to --out"),
        (("plan", "--out", "x.json", "--tolerance-bps", "1e3"), "is not a plain decimal number"),
        (("plan", "--out", "x.json", "--tolerance-bps", "1001"), "must be above 0 and at most 1000"),
        (("rebalance", "--plan", "nowhere.json", "--yes"), "can't read nowhere.json: No such file"),
        (("rebalance", "other", "--plan", "plan.json", "--yes"), "there is no fund 'other'"),
    ],
)
def test_a_command_line_that_is_wrong_is_told_so(planned: CommandLine, arguments: tuple[str, ...], words: str) -> None:
    told = planned(*arguments)
    assert told.code == 64
    assert words in told.err


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, planned: CommandLine) -> None:
    (tmp_path / "plan.json").write_bytes(b"\xff{}")
    refused = planned(*BY_PLAN)
    assert refused.code == 3
    assert "plan.json: it holds no plan" in refused.err


def test_a_daemon_that_holds_the_account_carries_a_plan_out_or_refuses_it(tmp_path: Path, keeper_here: CommandLine) -> None:
    slot = SystemClock().now() + timedelta(hours=12)
    execution = 'execution = { style = "urgent", horizon = "60s" }\n'
    config = CONFIG.replace('kind = "fixed"', 'kind = "synthetic", volatility = "0.001"')
    (tmp_path / "keeper.toml").write_text(f'{config}schedule = {{ at = "{slot:%H:%M}", catch_up = "1m" }}\n{execution}')
    with started(tmp_path, "run") as daemon:
        daemon.until("slot.next")
        assert keeper_here("plan", "--out", "plan.json").code == 2
        done = keeper_here(*BY_PLAN)
        assert done.code == 0, done.err
        assert done.document["status"] == "completed"
        assert done.document["trigger"].startswith("manual:")
        refused = keeper_here(*BY_PLAN)
        assert refused.code == 3
        assert "Refused, plan_position" in refused.err
