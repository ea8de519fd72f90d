"""The venues that the contract suite runs against: one line each, what they are is in a module of their own."""

from typing import Any

import pytest

from keeper.ports import Environment
from tests.contract import (
    binance_case,
    binancecoinm_case,
    binanceus_case,
    binanceusdm_case,
    bitget_case,
    bybit_case,
    deribit_case,
    gate_case,
    hyperliquid_case,
    kraken_case,
    krakenfutures_case,
    kucoin_case,
    okx_case,
    paper_case,
)
from tests.contract.case import Ability, VenueCase
from tests.contract.wire_case import WireCase

CASES: tuple[VenueCase, ...] = (
    paper_case.CASE,
    binanceusdm_case.CASE,
    binance_case.CASE,
    binanceus_case.CASE,
    *okx_case.CASES,
    gate_case.CASE,
    kucoin_case.LINEAR,
    kucoin_case.INVERSE,
    bitget_case.CASE,
    kraken_case.CASE,
    krakenfutures_case.LINEAR,
    krakenfutures_case.INVERSE,
    deribit_case.LINEAR,
    deribit_case.INVERSE,
    bybit_case.LINEAR,
    bybit_case.INVERSE,
    bybit_case.SPOT,
    binancecoinm_case.CASE,
    hyperliquid_case.CASE,
)


def every(*needed: Ability) -> pytest.MarkDecorator:
    """Run a test as ``case`` on each venue that lacks nothing of what is ``needed``."""
    return _listed([case for case in CASES if not any(one in case.lacks for one in needed)])


def lacking(ability: Ability) -> pytest.MarkDecorator:
    """Run a test as ``case`` on each venue that lacks ``ability``."""
    return _listed([case for case in CASES if ability in case.lacks])


def on_the_wire(*needed: Ability) -> pytest.MarkDecorator:
    """As ``every``, on venues behind a ccxt class."""
    return _listed([case for case in CASES if isinstance(case, WireCase) and not any(one in case.lacks for one in needed)])


def in_each_environment(*, served: bool = True) -> pytest.MarkDecorator:
    """Run a test as ``case`` and ``environment`` where the exchange has that environment; served False: where it has not."""
    pairs = [(case, one) for one in (Environment.TESTNET, Environment.LIVE) for case in CASES if isinstance(case, WireCase)]
    wanted = [(case, one) for case, one in pairs if bool(case.hosts(one)) is served]
    return pytest.mark.parametrize(("case", "environment"), wanted, ids=[f"{one}-{case.name}" for case, one in wanted])


def _listed(cases: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])
