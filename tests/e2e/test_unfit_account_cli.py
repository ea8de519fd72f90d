"""An account on which nothing can be sized, as an operator meets it: a plan is refused, a kill and a flattening go ahead."""

from decimal import Decimal
from pathlib import Path

from tests.fakes.command_line import CommandLine
from tests.fakes.configurations import secret_files, written
from tests.fakes.gate import GateFutures, usual_core
from tests.fakes.loopback_server import API_KEY, SECRET, in_thread

D = Decimal
OURS = "kpr0123456789abcdef0123456789abc"
GATE = """\
[venues.gate]
exchange = "gate"
environment = "testnet"
credentials = { api_key_file = "secrets/api_key", secret_file = "secrets/secret" }

[venues.gate.hosts]
"api-testnet.gateapi.io" = "ORIGIN"

[funds.fund]
venue = "gate"
target = { "BTC/USDT:USDT" = 2 }
execution = { horizon = "20s", slices = 1 }
"""


def test_a_unified_account_refuses_a_plan_and_disarms_neither_kill_nor_flatten(tmp_path: Path, keeper_here: CommandLine) -> None:
    core = usual_core()
    core.hold("BTC_USDT", D(200), D(49_000))
    order = core.rest(f"t-{OURS}", "BTC_USDT", 1, D(10), D(40_000))
    with in_thread(GateFutures(core=core, unified=True)) as server:
        secret_files(tmp_path, API_KEY, SECRET)
        written(tmp_path, GATE.replace("ORIGIN", server.url))
        killed, planned = keeper_here("kill", "--yes", "--json"), keeper_here("plan", "--json")
        examined, flattened = keeper_here("doctor", "--json"), keeper_here("flatten", "fund", "--yes", "--json")
    assert killed.code == 0, killed.err
    assert [one["state"] for one in killed.document["funds"][0]["orders"]] == ["canceled"]
    assert not order.status.rests
    assert planned.code == 3, planned.err
    refused = {one["code"]: one["message"] for one in planned.document["refusals"]}
    assert "switch it to the classic mode" in refused["unified_account"]
    [failing] = [one for one in examined.document["funds"][0]["findings"] if one["verdict"] == "fail"]
    assert (failing["check"], failing["found"], examined.code) == ("account_kind", refused["unified_account"], 3)
    assert flattened.code == 0, flattened.err
    assert core.held("BTC_USDT") == 0
