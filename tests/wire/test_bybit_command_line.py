"""``keeper`` on Bybit's demo as an operator runs it: a rebalance from a configuration file, and what a wrong key is called."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.bybit import Bybit
from tests.fakes.bybit_cores import usual_core
from tests.fakes.bybit_messages import trade_id
from tests.fakes.configurations import secret_files, written
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.loopback_server import API_KEY, SECRET, in_thread

D = Decimal
KEEPER = "from keeper.cli import main; main()"
BYBIT = """\
[venues.bybit]
exchange = "bybit"
environment = "testnet"
credentials = { api_key_file = "secrets/api_key", secret_file = "secrets/secret" }

[venues.bybit.hosts]
"api-demo.bybit.com" = "ORIGIN"

[funds.btc3l]
venue = "bybit"
target = { "BTC/USDT:USDT" = 3.0 }
execution = { style = "urgent", horizon = "20s", max_depth = 1 }
limits = { max_order_notional = 500000 }
"""


def drifted() -> ExchangeCore:
    """3x at 50,000; the price has risen by 5 %."""
    core = usual_core()
    core.hold("BTCUSDT", D(6), D(50_000))
    core.set_mid("BTCUSDT", D(52_500))
    return core


def rebalanced(folder: Path, server: Bybit, *, key: str = API_KEY, secret: str = SECRET) -> "subprocess.CompletedProcess[str]":
    """``keeper rebalance`` in a process of its own."""
    secret_files(folder, key, secret)
    config = written(folder, BYBIT.replace("ORIGIN", server.url))
    command = [sys.executable, "-c", KEEPER, "--config", str(config), "rebalance", "--yes", "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=90, check=False)  # noqa: S603 - our own words


def test_a_leveraged_fund_comes_back_to_its_target(tmp_path: Path) -> None:
    core = drifted()
    with in_thread(Bybit(core=core)) as server:
        done = rebalanced(tmp_path, server)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["status"] == "completed"
    assert {fill["trade_id"] for fill in document["fills"]} == {trade_id(trade.id) for trade in core.trades}
    missing = 3 * core.equity("USDT") - core.held("BTCUSDT") * core.mark("BTCUSDT")
    assert abs(missing) < D("0.001") * core.mark("BTCUSDT")
    assert SECRET not in done.stdout + done.stderr
    assert not [one.path for one in server.requests if SECRET.encode() in one.raw]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"key": "not-the-key-0123456789"}, "made in this environment"),
        ({"secret": "not-the-secret-abcdef"}, "check that the secret belongs to the API key"),
    ],
    ids=["key", "secret"],
)
def test_a_wrong_key_or_secret_is_called_so_and_no_order_is_sent(tmp_path: Path, wrong: dict[str, str], words: str) -> None:
    with in_thread(Bybit(core=drifted())) as server:
        done = rebalanced(tmp_path, server, **wrong)
    assert done.returncode != 0
    assert words in " ".join((done.stdout + done.stderr).split())
    assert not [text for text in wrong.values() if text in done.stdout + done.stderr]
    assert not server.seen("order/create")
