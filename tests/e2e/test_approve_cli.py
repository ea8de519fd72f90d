"""Targets from a file as an operator meets them: planned, used, refused, waiting, approved of."""

from pathlib import Path

import pytest

from tests.fakes.command_line import CommandLine

PERP = "BTC/USDT:USDT"
TEXT = f"""
[venues.sim]
exchange = "paper"
feed = {{ kind = "fixed", prices = {{ "{PERP}" = "50000" }}, markets."{PERP}" = {{ lot = "0.001" }} }}
account = {{ balances = {{ USDT = "100000" }} }}
[funds.f]
venue = "sim"
target = {{ "{PERP}" = 0 }}
execution = {{ style = "urgent" }}
target_from = {{ SOURCE, bounds = {{ "{PERP}" = [-1, 3] }} }}
"""


@pytest.fixture
def wants(tmp_path: Path) -> Path:
    (tmp_path / "keeper.toml").write_text(TEXT.replace("SOURCE", 'file = "targets.toml"'))
    return tmp_path / "targets.toml"


def test_a_far_target_waits_until_it_is_approved_of(wants: Path, keeper_here: CommandLine) -> None:
    wants.write_text(f'target = {{ "{PERP}" = 0.9 }}\n')
    plan = keeper_here("plan", "--json").document
    assert plan["targets"] == {PERP: "0.9"}
    assert plan["notes"][0].startswith(f"targets from {wants}")
    assert keeper_here("rebalance", "--yes").code == 0
    wants.write_text(f'target = {{ "{PERP}" = 2.5 }}\n')
    assert keeper_here("approve", "--yes").out.startswith("Nothing waits: f goes by the targets that were used last")
    refused = keeper_here("rebalance", "--yes", "--json")
    assert refused.code == 3
    assert "1.6 times NAV from" in refused.document["reason"]
    [fund] = keeper_here("status", "--json").document["funds"]
    assert fund["target"]["in_force"] == {PERP: "0.9"}
    assert fund["target"]["waiting"]["targets"] == {PERP: "2.5"}
    assert "`keeper approve f` once it is meant" in " ".join(keeper_here("status").out.split())
    approved = keeper_here("approve", "f", "--yes")
    assert approved.code == 0
    assert "wants BTC/USDT:USDT at 2.5x; in force is BTC/USDT:USDT at 0.9x" in approved.err
    assert "is approved of until" in " ".join(keeper_here("status").out.split())
    assert keeper_here("rebalance", "--yes").code == 0
    [fund] = keeper_here("status", "--json").document["funds"]
    assert fund["target"] == {"in_force": {PERP: "2.5"}, "waiting": None}
    assert fund["emergency"]["max_leverage"] == "3.25"


def test_what_a_command_says_wrong_is_told_with_key_value_and_remedy(tmp_path: Path, keeper_here: CommandLine) -> None:
    program = tmp_path / "signal"
    program.write_text(f"""#!/bin/sh\necho '{{"target": {{"{PERP}": 3.5}}}}'\n""")
    program.chmod(0o700)
    (tmp_path / "keeper.toml").write_text(TEXT.replace("SOURCE", f'command = ["{program}"]'))
    plan = keeper_here("plan", "--json")
    assert plan.code == 3
    [refusal] = plan.document["refusals"]
    assert refusal["message"].startswith(f'{program}: target."{PERP}" = 3.5: must be within bounds, from -1 to 3')
