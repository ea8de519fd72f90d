"""The documents that `--json` prints and that the tables and the report read: plain dicts made from journal values.

Every Decimal is a string without an exponent, every time is ISO 8601 in UTC ending in ``+00:00``. Nothing here computes
what the journal does not know: what a run never came to record is null.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from keeper.accounting.attribution import Shortfall
from keeper.domain.fund import FundState, Standing
from keeper.domain.numbers import ZERO, exact, plain, rounded
from keeper.domain.order import Child, ChildState, Fill
from keeper.domain.run import Event, NavPoint, Run, RunStatus
from keeper.policy.emergency import Emergency
from keeper.service.fund import Fund
from keeper.service.standings import meaning, next_steps
from keeper.service.steering import Pending

Document = dict[str, Any]

PARTS = ("delay", "spread", "impact", "timing", "fees")
RESULT_KEYS = (
    "nav_before",
    "nav_after",
    "leverage_before",
    "leverage_after",
    "gross_leverage_before",
    "gross_leverage_after",
    "filled_notional",
    "fees",
)
LEG_KEYS = ("market", "side", "planned", "traded", "gap", "notional_traded", "leverage_before", "leverage_after")
SHORTFALL_KEYS = (
    *("total", *PARTS),
    *("total_bps", "delay_bps", "spread_bps", "impact_bps", "fee_bps", "timing_bps"),
)
LOOKED_KEYS = ("leverage", "gross_leverage", "liquidation_distance", "moves", "danger")
INTERRUPTED = "interrupted"
_BPS_PLACES = 4
_RATIO_PLACES = 8
_BASE_PLACES = 12
_UNIT_PLACES = 12


def utc_text(at: datetime) -> str:
    """An aware time as every document writes it, such as ``2024-08-09T00:15:00+00:00``."""
    return at.astimezone(UTC).isoformat()


def json_ready(value: object) -> Any:
    """``value`` with every Decimal and time in it as a document writes them; mappings and sequences are copied."""
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return utc_text(value)
        case Mapping():
            return {str(key): json_ready(item) for key, item in value.items()}
        case list() | tuple():
            return [json_ready(item) for item in value]
        case _:
            return value


def shortfall_document(shortfall: Shortfall) -> Document:
    """The ``shortfall`` of a run's result: exact amounts of currency, and bps of the traded notional rounded for display."""
    amounts = {name: getattr(shortfall, name) for name in ("total", *PARTS)}
    bps = {f"{_bps_name(name)}_bps": rounded(shortfall.bps(amount), _BPS_PLACES) for name, amount in amounts.items()}
    return Document(json_ready(amounts | bps))


def run_document(
    run: Run,
    children: Sequence[Child],
    fills: Sequence[tuple[str, Fill]],
    *,
    is_trading: bool = True,
    nav_per_unit: Decimal | None = None,
) -> Document:
    """One run: what `rebalance`, `demo` and `runs show` print.

    children and fills: of this run, as the journal gives them; is_trading: whether a process is working on the run, so
    that one which is RUNNING without any is called interrupted. What only an ended run knows is null before that.
    nav_per_unit: as the run left it, None where the fund has no books. unpriced_fees: by asset, fees that could not be
    valued and so are in no other figure.
    """
    result = json_ready(run.result or {})
    scales = base_per_contract(run.plan)
    legs = [{key: leg.get(key) for key in LEG_KEYS} for leg in result["legs"]] if result.get("legs") is not None else None
    shortfall = {key: result["shortfall"].get(key) for key in SHORTFALL_KEYS} if result.get("shortfall") else None
    return {
        "run": run.id,
        "fund": run.key.fund,
        "venue": run.venue,
        "environment": run.environment,
        "currency": run.currency,
        "trigger": run.key.trigger,
        "status": _status(run, is_trading=is_trading),
        "asked": run.plan.get("asked", ""),
        "reason": run.reason,
        **{key: result.get(key) for key in RESULT_KEYS},
        "nav_per_unit": unit_price(nav_per_unit),
        "unpriced_fees": result.get("unpriced_fees") or {},
        "legs": legs,
        "shortfall": shortfall,
        "children": [_child(child, scales.get(child.request.symbol)) for child in children],
        "fills": [_fill(client_id, fill) for client_id, fill in fills],
        "started_at": utc_text(run.started_at),
        "ended_at": utc_text(run.ended_at) if run.ended_at else None,
    }


def runs_document(runs: Sequence[Run], *, trading: Collection[str] = ()) -> Document:
    """``{"runs": [...]}`` in the order given: what `runs list` prints. trading: ids of the runs that a process works on."""
    return {"runs": [_run_line(run, is_trading=run.id in trading) for run in runs]}


def status_document(funds: Sequence[Document]) -> Document:
    """``{"funds": [...]}`` of documents that ``fund_status`` made: what `status` prints."""
    return {"funds": list(funds)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Where a fund stands in its schedule.

    coming: its next slots, aware, in the schedule's zone; open_until: how long a slot of before those, which is yet to be run,
    may still be; None where there is none.
    """

    coming: tuple[datetime, ...] = ()
    open_until: datetime | None = None


def fund_status(
    standing: Standing,
    *,
    venue: str,
    environment: str,
    last_run: Run | None,
    open_children: Sequence[Child],
    nav: NavPoint | None,
    slots: Slots,
    is_trading: bool,
) -> Document:
    """One fund as it stands; ``standing`` names it. What its books say is for ``with_books`` to fill in.

    open_children: those in state INTENT, LIVE or UNKNOWN; nav: the latest point; is_trading: whether a process holds the
    fund's account now.

    state: ``trading`` while a process works on a run; else ``halted``, ``blocked`` while a child's outcome is unknown, in
    ``trouble`` where a process can't reach the venue, ``interrupted`` when the last run was left behind, ``reduce_only`` where
    no risk may be added, ``waiting`` where a process holds the account, ``idle`` otherwise.
    """
    unknown = [child.request.client_id for child in open_children if child.state in (ChildState.UNKNOWN, ChildState.LIVE)]
    running = last_run is not None and not last_run.status.ended
    trouble = standing.trouble if is_trading else ""
    is_cut = not is_trading and (running or bool(open_children))
    states = {
        "trading": is_trading and running,
        "halted": standing.halted,
        "blocked": bool(unknown),
        "trouble": bool(trouble),
        INTERRUPTED: is_cut,
        "reduce_only": standing.reducing,
        "waiting": is_trading,
    }
    state = next((name for name, holds in states.items() if holds), "idle")
    coming = [{"utc": utc_text(at), "local": at.isoformat(timespec="seconds")} for at in slots.coming]
    return {
        "fund": standing.fund,
        "venue": venue,
        "environment": environment,
        "state": state,
        "blocked_by": unknown,
        "halted": {"reason": standing.reason, "at": utc_text(standing.at) if standing.at else None} if standing.halted else None,
        "standing": standing_document(standing),
        "next": next_steps(standing, unknown, is_held=is_trading, is_cut=is_cut),
        "trouble": trouble or None,
        "last_run": _last_run(last_run, is_trading=is_trading) if last_run else None,
        "nav": plain(nav.nav) if nav else None,
        "currency": nav.currency if nav else None,
        "nav_per_unit": None,
        "in_transit": [],
        "leverage": plain(rounded(nav.net_leverage, _RATIO_PLACES)) if nav else None,
        "gross_leverage": plain(rounded(nav.gross_leverage, _RATIO_PLACES)) if nav else None,
        "as_of": utc_text(nav.at) if nav else None,
        "next_slot": next(iter(coming), None),
        "next_slots": coming,
        "open_until": utc_text(slots.open_until) if slots.open_until else None,
    }


def with_books(status: Document, nav_per_unit: Decimal, in_transit: Sequence[str]) -> Document:
    """The ``status`` of a fund that has books. nav_per_unit: as last read; in_transit: ids of entries whose money is."""
    return status | {"nav_per_unit": unit_price(nav_per_unit), "in_transit": list(in_transit)}


def target_document(fund: Fund, waiting: Pending | None) -> Document:
    """The targets in force (multiples of NAV by symbol), and those that wait for a human, null where there are none."""
    return {
        "in_force": _figures(fund.mandate.targets),
        "waiting": None
        if waiting is None
        else {
            "targets": _figures(waiting.targets),
            "source": waiting.source,
            "at": waiting.at.isoformat(),
            "approved_until": None if waiting.until is None else waiting.until.isoformat(),
        },
    }


def _figures(targets: Mapping[str, Decimal]) -> Document:
    return {symbol: plain(target) for symbol, target in targets.items()}


def emergency_document(rules: Emergency, looked: Event | None) -> Document:
    """Where an emergency begins and ends, and how far the fund was from it when its leverage was last looked at.

    looked: the event that tells of it; what only a look can tell is null before the first.
    """
    payload = looked.payload if looked is not None else {}
    return {
        "max_leverage": None if rules.max_leverage is None else plain(rules.max_leverage),
        "to": plain(rules.to),
        "as_of": utc_text(looked.at) if looked is not None else None,
        **{key: payload.get(key) for key in LOOKED_KEYS},
    }


def standing_document(standing: Standing) -> Document:
    """Whether a fund may trade, since when not, and what that means; all but the state is null while it is active."""
    active = standing.state is FundState.ACTIVE
    return {
        "state": standing.state.value,
        "cause": standing.cause or None if not active else None,
        "reason": standing.reason if not active else None,
        "at": utc_text(standing.at) if standing.at and not active else None,
        "meaning": meaning(standing) if not active else None,
    }


def unit_price(nav_per_unit: Decimal | None) -> str | None:
    """NAV per unit as every document writes it; None where there are no books."""
    return None if nav_per_unit is None else plain(rounded(nav_per_unit, _UNIT_PLACES))


@exact
def base_per_contract(plan: Mapping[str, Any]) -> dict[str, Decimal]:
    """Base units in one contract of each market that ``plan`` trades, at the plan's price (which only inverse ones need)."""
    scales = {}
    for leg in plan.get("legs", ()):
        contracts = Decimal(leg["amount"])
        if contracts:
            scales[str(leg["market"])] = abs(Decimal(leg["amount_base"]) / contracts)
    return scales


def _status(run: Run, *, is_trading: bool) -> str:
    return INTERRUPTED if run.status is RunStatus.RUNNING and not is_trading else run.status.value


def _bps_name(part: str) -> str:
    return "fee" if part == "fees" else part


def _child(child: Child, scale: Decimal | None) -> Document:
    return {
        "client_id": child.request.client_id,
        "market": child.request.symbol,
        "side": child.request.side.value,
        "amount": plain(child.request.amount),
        "filled": plain(child.filled),
        "filled_base": plain(_in_base(child.filled, scale)) if scale is not None else None,
        "average": plain(child.average) if child.average is not None else None,
        "state": child.state.value,
        "reason": child.reason,
    }


@exact
def _in_base(contracts: Decimal, scale: Decimal) -> Decimal:
    return rounded(contracts * scale, _BASE_PLACES) if contracts else ZERO


def _fill(client_id: str, fill: Fill) -> Document:
    return {
        "client_id": client_id,
        "trade_id": fill.trade_id,
        "market": fill.symbol,
        "side": fill.side.value,
        "amount": plain(fill.amount),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "fee_asset": fill.fee_asset,
        "at": utc_text(fill.at),
    }


def _last_run(run: Run, *, is_trading: bool) -> Document:
    line = _run_line(run, is_trading=is_trading)
    return {key: line[key] for key in ("run", "status", "reason", "started_at", "ended_at", "leverage_after")}


def _run_line(run: Run, *, is_trading: bool) -> Document:
    result = json_ready(run.result or {})
    return {
        "run": run.id,
        "fund": run.key.fund,
        "venue": run.venue,
        "environment": run.environment,
        "currency": run.currency,
        "trigger": run.key.trigger,
        "status": _status(run, is_trading=is_trading),
        "reason": run.reason,
        "leverage_before": result.get("leverage_before"),
        "leverage_after": result.get("leverage_after"),
        "filled_notional": result.get("filled_notional"),
        "fees": result.get("fees"),
        "total_bps": (result.get("shortfall") or {}).get("total_bps"),
        "started_at": utc_text(run.started_at),
        "ended_at": utc_text(run.ended_at) if run.ended_at else None,
    }
