"""What every `--json` document promises: its keys, Decimals as strings, times in UTC. Written down from the design alone."""

import re
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

PLAN = (
    *("fund", "venue", "environment", "at", "nav", "currency", "due", "reason", "legs", "cost", "triggers", "refusals"),
    *("hash", "expires_at"),
)
PLAN_LEG = ("market", "side", "amount", "amount_base", "notional", "price", "leverage_before", "leverage_after")
COST = ("total_bps", "fee_bps", "spread_bps", "impact_bps", "band_bps")
TRIGGER = ("leverage", "move", "price")
REFUSAL = ("code", "message")
RUN = (
    *("run", "fund", "status", "nav_before", "nav_after", "leverage_before", "leverage_after", "gross_leverage_before"),
    *("gross_leverage_after", "children", "filled_notional", "fees", "shortfall", "started_at", "ended_at", "legs"),
)
RUN_LEG = ("market", "side", "planned", "traded", "leverage_before", "leverage_after")
CHILD = ("client_id", "market", "side", "amount", "filled", "average", "state")
SHORTFALL = ("total_bps", "delay_bps", "spread_bps", "impact_bps", "fee_bps", "timing_bps")
WHOLE = frozenset({"slices", "every_hours"})
"""Keys whose numbers count something and so are numbers in JSON, too."""
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def assert_plan(document: dict[str, Any]) -> None:
    """``plan --json`` has the shape that the design names."""
    _has(document, PLAN)
    for leg in document["legs"]:
        _has(leg, PLAN_LEG)
    _has(document["cost"], COST)
    for trigger in document["triggers"]:
        _has(trigger, TRIGGER)
    for refusal in document["refusals"]:
        _has(refusal, REFUSAL)
    assert isinstance(document["due"], bool)
    assert re.fullmatch(r"[0-9a-f]{64}", document["hash"])
    assert_plain(document)
    for number in (document["nav"], *(leg[key] for leg in document["legs"] for key in PLAN_LEG[2:])):
        assert _DECIMAL.fullmatch(number)
    for number in (*document["cost"].values(), *(trigger[key] for trigger in document["triggers"] for key in TRIGGER)):
        assert _DECIMAL.fullmatch(number)
    assert_times(document, ("at", "expires_at"))


def assert_run(document: dict[str, Any]) -> None:
    """``rebalance --json``, ``demo --json`` and ``runs show --json`` have the shape that the design names."""
    _has(document, RUN)
    for leg in document["legs"]:
        _has(leg, RUN_LEG)
    for child in document["children"]:
        _has(child, CHILD)
    _has(document["shortfall"], SHORTFALL)
    assert_plain(document)
    numbers = [document[key] for key in (*RUN[3:9], "filled_notional", "fees")]
    numbers += [leg[key] for leg in document["legs"] for key in RUN_LEG[2:]]
    numbers += [child[key] for child in document["children"] for key in ("amount", "filled", "average")]
    numbers += [document["shortfall"][key] for key in SHORTFALL]
    assert all(_DECIMAL.fullmatch(number) for number in numbers)
    assert_times(document, ("started_at", "ended_at"))


def assert_plain(document: object) -> None:
    """No number in ``document`` is a JSON number, but for counts: a reader would make a float of it."""
    found = [key for key, value in _leaves(document, "") if isinstance(value, float | int) and not isinstance(value, bool)]
    assert set(found) <= WHOLE


def assert_times(document: dict[str, Any], keys: Collection[str]) -> None:
    """``keys`` hold times in UTC."""
    for key in keys:
        assert datetime.fromisoformat(document[key]).utcoffset() == timedelta(0)


def _has(document: dict[str, Any], keys: Collection[str]) -> None:
    assert set(keys) <= set(document)


def _leaves(value: object, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    else:
        yield key, value
