"""Runs as a journal would hold them, made by a small market of arithmetic: plan, children, fills, result.

Every figure of a result comes from the same code that the service uses; the market itself is a wave, not chance, so the
same arguments give the same run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.accounting.attribution import Execution, Shortfall, leg_shortfall
from keeper.domain.market import Side
from keeper.domain.numbers import exact, plain, rounded
from keeper.domain.order import Child, ChildState, Fill, OrderRequest, client_id
from keeper.domain.run import Run, RunKey, RunStatus
from keeper.service.documents import shortfall_document

D = Decimal
DECIDED = datetime(2024, 8, 9, 0, 15, tzinfo=UTC)
_SIZE, _ONE, _PRICE, _SPREAD = D("0.0478"), D(1), D(52500), D("0.6")
_WAVE = (0, 2, 3, 1, -1, 0, 2, 5, 6, 4, 5, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One leg of a run to make. size: contracts of each slice; scale: base units per contract; lags: fill behind the mid, bps."""

    market: str = "BTC/USDT:USDT"
    side: Side = Side.BUY
    slices: int = 10
    size: Decimal = _SIZE
    scale: Decimal = _ONE
    arrival: Decimal = _PRICE
    spread_bps: Decimal = _SPREAD
    before: str = "2.73913043"
    after: str = "3"
    states: Mapping[int, ChildState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """One run and its rows."""

    run: Run
    children: tuple[Child, ...]
    fills: tuple[tuple[str, Fill], ...]


@exact
def _slice_of(leg: Leg, index: int, number: int) -> tuple[Child, tuple[tuple[str, Fill], ...]]:
    """Slice ``number`` (from 1) of leg ``index``: taken in two trades, a third of it one step deeper in the book."""
    state = leg.states.get(number, ChildState.FILLED)
    mid = leg.arrival * (1 + leg.side.sign * D(_WAVE[number % len(_WAVE)]) / 10_000)
    half = leg.arrival * leg.spread_bps / 20_000
    at = DECIDED + timedelta(seconds=20 + index * 7 + (number - 1) * 60)
    name = client_id(account="account", fund="btc3l", run="run", leg=index, sequence=number)
    best = mid + leg.side.sign * half
    trades = [(D(2), best), (D(1), best + leg.side.sign * half * D("1.5"))] if state is ChildState.FILLED else []
    fills = tuple(
        (
            name,
            Fill(
                trade_id=f"{index}-{number}-{trade}",
                symbol=leg.market,
                side=leg.side,
                amount=leg.size * share / 3,
                price=rounded(price, 8),
                fee=rounded(leg.size * share / 3 * leg.scale * price * D("0.0005"), 8),
                fee_asset="USDT",
                at=at + timedelta(milliseconds=80),
            ),
        )
        for trade, (share, price) in enumerate(trades)
    )
    filled = sum((fill.amount for _, fill in fills), D(0))
    child = Child(
        request=OrderRequest(
            client_id=name,
            symbol=leg.market,
            side=leg.side,
            amount=leg.size,
            price=rounded(mid * (1 + leg.side.sign * D("0.003")), 8),
            reduce_only=leg.side is Side.SELL,
            deadline=at + timedelta(seconds=5),
        ),
        run="btc3l-4f1c2a9e",
        leg=index,
        sequence=number,
        mid=mid,
        half_spread=half,
        state=state,
        at=at,
        notional=leg.size * mid,
        order_id=f"{index}{number}",
        filled=filled,
        average=sum((f.amount * f.price for _, f in fills), D(0)) / filled if filled else None,
        reason="" if state is ChildState.FILLED else "the reply was cut short",
    )
    return child, fills


@exact
def plan_of(legs: Sequence[Leg], refusals: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """The plan document of ``legs``."""
    return {
        "fund": "btc3l",
        "venue": "sim",
        "environment": "paper",
        "at": DECIDED.isoformat(),
        "nav": "115000",
        "currency": "USDT",
        "leverage": "2.73913043",
        "gross_leverage": "2.73913043",
        "due": True,
        "reason": "BTC/USDT:USDT at 2.739x, wanted 3.000x",
        "legs": [
            {
                "market": leg.market,
                "side": leg.side.value,
                "amount": plain(leg.size * leg.slices),
                "amount_base": plain(leg.size * leg.slices * leg.scale),
                "notional": plain(leg.size * leg.slices * leg.scale * leg.arrival),
                "price": plain(leg.arrival),
                "leverage_before": leg.before,
                "leverage_after": leg.after,
                "slices": leg.slices,
                "reduce_only": leg.side is Side.SELL,
            }
            for leg in legs
        ],
        "cost": {"total_bps": "5.72", "fee_bps": "5", "spread_bps": "0.3", "impact_bps": "0.42", "band_bps": "3.1"},
        "triggers": [
            {"cause": "emergency", "market": "BTC/USDT:USDT", "leverage": "3.99", "move": "-0.11036", "price": "46705.93"}
        ],
        "notes": ["it is left alone from 2.9x to 3.1x"],
        "written": None,
        "refusals": [{"code": code, "message": message} for code, message in refusals],
        "hash": "9d377b10ce778c4938b3c7e2c63a229a5b0f3a64c6d34c2d4f1b2c3d4e5f6a7b",
        "expires_at": (DECIDED + timedelta(minutes=5)).isoformat(),
    }


@exact
def _result(legs: Sequence[Leg], children: Sequence[Child], fills: Sequence[tuple[str, Fill]]) -> dict[str, Any]:
    sent = {child.request.client_id: child for child in children}
    total, lines, notional = Shortfall(), [], D(0)
    for leg in legs:
        own = [(sent[name], fill) for name, fill in fills if fill.symbol == leg.market]
        executions = [
            Execution(
                side=leg.side,
                base=fill.amount * leg.scale,
                price=fill.price,
                mid=child.mid,
                half_spread=child.half_spread,
                fee=fill.fee,
            )
            for child, fill in own
        ]
        first = next((child.mid for child in children if child.request.symbol == leg.market), leg.arrival)
        total += leg_shortfall(executions, decision_mid=leg.arrival, first_mid=first)
        traded = sum((fill.amount for _, fill in own), D(0))
        value = sum((fill.amount * leg.scale * fill.price for _, fill in own), D(0))
        notional += value
        share = traded / (leg.size * leg.slices)
        reached = D(leg.before) + (D(leg.after) - D(leg.before)) * share
        lines.append(
            {
                "market": leg.market,
                "side": leg.side.value,
                "planned": plain(leg.size * leg.slices),
                "traded": plain(traded),
                "gap": plain(leg.size * leg.slices - traded),
                "notional_traded": plain(value),
                "leverage_before": leg.before,
                "leverage_after": plain(rounded(reached, 8)),
            }
        )
    moved = sum((D(line["leverage_after"]) - D(line["leverage_before"]) for line in lines), D(0))
    after = plain(D("2.73913043") + moved)
    return {
        "nav_before": "115000",
        "nav_after": plain(rounded(115_000 - total.total, 8)),
        "leverage_before": "2.73913043",
        "leverage_after": after,
        "gross_leverage_before": "2.73913043",
        "gross_leverage_after": after,
        "legs": lines,
        "filled_notional": plain(notional),
        "fees": plain(total.fees),
        "unpriced_fees": {},
        "shortfall": shortfall_document(total),
    }


def history(
    *legs: Leg, status: RunStatus = RunStatus.COMPLETED, reason: str = "", refusals: Sequence[tuple[str, str]] = ()
) -> History:
    """A run over ``legs`` that ended with ``status``; RUNNING leaves it without a result."""
    slices = [_slice_of(leg, index, number) for index, leg in enumerate(legs) for number in range(1, leg.slices + 1)]
    children = tuple(sorted((child for child, _ in slices), key=lambda child: child.at))
    fills = tuple(sorted((pair for _, pairs in slices for pair in pairs), key=lambda pair: pair[1].at))
    ended = status.ended
    run = Run(
        id="btc3l-4f1c2a9e",
        key=RunKey("btc3l", "manual:4f1c2a9e"),
        venue="sim",
        environment="paper",
        account="3d2f",
        currency="USDT",
        status=status,
        reason=reason,
        plan=plan_of(legs, refusals),
        result=_result(legs, children, fills) if ended else None,
        started_at=DECIDED + timedelta(seconds=4),
        deadline=DECIDED + timedelta(minutes=30),
        ended_at=(children[-1].at if children else DECIDED) + timedelta(seconds=12) if ended else None,
    )
    return History(run, children, fills)


def unsent(past: History) -> History:
    """``past`` as if nothing had been sent."""
    result = {
        **(past.run.result or {}),
        "leverage_after": "2.73913043",
        "nav_after": "115000",
        "filled_notional": "0",
        "fees": "0",
    }
    result["shortfall"] = shortfall_document(Shortfall())
    return History(replace(past.run, result=result), (), ())
