"""``keeper`` on Kraken as an operator runs it: live, where it plans and sends nothing, and a wrong secret by its name."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from tests.fakes.configurations import secret_files, written
from tests.fakes.kraken import KrakenExchange, kraken_core
from tests.fakes.loopback_server import API_KEY, SECRET, in_thread

D = Decimal
KEEPER = "from keeper.cli import main; main()"
KRAKEN = """\
[venues.kraken]
exchange = "kraken"
environment = "live"
credentials = { api_key_file = "secrets/api_key", secret_file = "secrets/secret" }

[venues.kraken.hosts]
"api.kraken.com" = "ORIGIN"

[funds.sixty_forty]
venue = "kraken"
target = { "BTC/USD" = 0.6, "ETH/USD" = 0.3 }
"""


def told(folder: Path, server: KrakenExchange, *words: str, secret: str = SECRET) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own."""
    secret_files(folder, API_KEY, secret)
    config = written(folder, KRAKEN.replace("ORIGIN", server.url))
    command = [sys.executable, "-c", KEEPER, "--config", str(config), *words, "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=90, check=False)  # noqa: S603 - our own words


def test_a_live_fund_plans_from_what_the_account_holds_and_sends_nothing(tmp_path: Path) -> None:
    with in_thread(KrakenExchange(core=kraken_core(), earning={"XBT.F": "0.5", "ETH.S": "100"})) as server:
        planned, traded = told(tmp_path, server, "plan"), told(tmp_path, server, "rebalance", "--yes")
    assert planned.stdout, planned.stderr
    document = json.loads(planned.stdout)
    # 1.5 BTC, 20 ETH and 100,000 USD; what is staked is none of the fund's
    assert D(document["nav"]) == D(225_000), planned.stderr
    assert traded.returncode != 0
    assert "a live fund only plans" in traded.stdout + traded.stderr
    assert not server.seen("AddOrder")
    assert SECRET not in planned.stdout + planned.stderr + traded.stdout + traded.stderr


def test_a_wrong_secret_is_called_so(tmp_path: Path) -> None:
    with in_thread(KrakenExchange(core=kraken_core())) as server:
        done = told(tmp_path, server, "plan", secret="YW5vdGhlci1zZWNyZXQtYWx0b2dldGhlcg==")
    assert done.returncode != 0
    assert "check that the secret belongs to the API key" in " ".join((done.stdout + done.stderr).split())
