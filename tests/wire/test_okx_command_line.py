"""``keeper`` on OKX as an operator runs it: three secrets, a rebalance by what is streamed, and what a wrong secret is called."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from tests.fakes.configurations import secret_files, written
from tests.fakes.loopback_server import API_KEY, PASSPHRASE, SECRET, in_thread
from tests.fakes.okx import OkxServer, okx_core
from tests.fakes.okx_streams import DEMO

D = Decimal
KEEPER = "from keeper.cli import main; main()"
SWAP = "BTC-USDT-SWAP"
OKX = """\
[venues.okx]
exchange = "okx"
environment = "testnet"
market_data = "stream"

[venues.okx.credentials]
api_key_file = "secrets/api_key"
secret_file = "secrets/secret"
passphrase_file = "secrets/passphrase"

[venues.okx.hosts]
"www.okx.com" = "ORIGIN"
"wspap.okx.com" = "STREAMS"

[funds.btc3l]
venue = "okx"
target = { "BTC/USDT:USDT" = 3.0 }
execution = { style = "urgent", horizon = "20s", max_depth = 1 }
limits = { max_order_notional = 500000 }
"""


def rebalanced(folder: Path, server: OkxServer, passphrase: str = PASSPHRASE) -> "subprocess.CompletedProcess[str]":
    """``keeper rebalance`` in a process of its own."""
    path = secret_files(folder, API_KEY, SECRET) / "passphrase"
    path.write_text(passphrase, encoding="utf-8")
    path.chmod(0o600)
    config = written(folder, OKX.replace("ORIGIN", server.url).replace("STREAMS", server.hosts[DEMO]))
    command = [sys.executable, "-c", KEEPER, "--config", str(config), "rebalance", "--yes", "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=90, check=False)  # noqa: S603 - our own words


def test_a_leveraged_fund_comes_back_to_its_target(tmp_path: Path) -> None:
    core = okx_core(wallet={"USDT": D(100_000)})
    core.hold(SWAP, D(600), D(50_000))
    core.set_mid(SWAP, D(52_500))
    core.ladders[SWAP].size = D(1_000)
    with in_thread(OkxServer(core=core)) as server:
        done = rebalanced(tmp_path, server)
    document = json.loads(done.stdout)
    assert (done.returncode, document["status"]) == (0, "completed"), done.stderr
    assert {fill["trade_id"] for fill in document["fills"]} == {str(trade.id) for trade in core.trades}
    missing = 3 * core.equity("USDT") - core.held(SWAP) * D("0.01") * core.mark(SWAP)
    assert abs(missing) < D("0.01") * D("0.01") * core.mark(SWAP)
    assert server.streams.books > 0
    assert {at.partition("?")[0] for at in server.streams.opened} == {f"{DEMO}/ws/v5/{part}" for part in ("public", "private")}
    assert "stream." not in done.stderr  # nothing went wrong with them
    for secret in (SECRET, PASSPHRASE):
        assert secret not in done.stdout + done.stderr
        assert not [one.path for one in server.requests if secret.encode() in one.raw]


def test_a_wrong_passphrase_is_called_so_and_no_order_is_sent(tmp_path: Path) -> None:
    core = okx_core(wallet={"USDT": D(100_000)})
    with in_thread(OkxServer(core=core)) as server:
        done = rebalanced(tmp_path, server, "not-the-passphrase")
    assert done.returncode != 0
    assert "the passphrase is wrong" in " ".join((done.stdout + done.stderr).split())
    assert "not-the-passphrase" not in done.stdout + done.stderr
    assert not server.seen("trade/order")
