"""Days of runs as a journal would hold them: one run a day of a fund that keeps three times a market, with its costs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from keeper.domain.numbers import exact, plain, rounded
from keeper.domain.run import Run, RunKey, RunStatus
from tests.fakes.run_history import DECIDED, Leg, history

D = Decimal
BTC = "BTC/USDT:USDT"


@exact
def days_of_runs(prices: Sequence[Decimal]) -> list[Run]:
    """A completed run for each of ``prices``, a day apart, of a NAV of 115,000; each pays 12.5 in fees."""
    nav, cost, before = D(115_000), D("12.5"), prices[0]
    runs = []
    for day, price in enumerate(prices):
        nav *= 1 + 3 * (price / before - 1)
        before, at = price, DECIDED + timedelta(days=day)
        past = history(Leg(slices=1)).run
        plan = {
            **past.plan,
            "at": at.isoformat(),
            "nav": plain(rounded(nav, 8)),
            "targets": {BTC: "3"},
            "marks": {BTC: plain(price)},
        }
        nav -= cost
        paid = dict.fromkeys(("delay", "spread", "impact", "timing"), "0") | {"fees": plain(cost), "total": plain(cost)}
        result = {**(past.result or {}), "nav_after": plain(rounded(nav, 8)), "leverage_after": "3", "shortfall": paid}
        runs.append(
            replace(
                past,
                id=f"btc3l-{at:%Y%m%dT%H%M}",
                key=RunKey("btc3l", f"slot:{at:%Y-%m-%dT%H:%M}[UTC]"),
                status=RunStatus.COMPLETED,
                plan=plan,
                result=result,
                started_at=at,
                deadline=at + timedelta(minutes=30),
                ended_at=at + timedelta(minutes=2),
            )
        )
    return runs
