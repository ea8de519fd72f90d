"""What of a run goes into the journal at its end, and what it is made from: the run's own rows, never memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import structlog

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.market import Market
from keeper.domain.numbers import ONE
from keeper.domain.observation import Observation
from keeper.domain.run import NavCause, NavPoint, Run, RunKey, RunStatus
from keeper.execution.pacing import Pacing
from keeper.planning.plan import Plan
from keeper.ports import Clock, Journal, Venue
from keeper.service.observer import Observer
from keeper.service.results import Work, result_document

log = structlog.get_logger()


class RunBook:
    """Closes the runs of one fund and keeps its NAV."""

    def __init__(self, fund: str, venue: Venue, journal: Journal, observer: Observer) -> None:
        self._fund = fund
        self._venue = venue
        self._journal = journal
        self._clock: Clock = venue.clock
        self._observer = observer

    def new(self, plan: Plan, trigger: str, asked: str, pacing: Pacing) -> Run:
        """A run of ``plan`` that begins now; no row is written. asked: why the operator wants it."""
        info, now = self._venue.info, self._clock.now()
        key = RunKey(self._fund, trigger)
        return Run(
            id=key.run_id,
            key=key,
            venue=info.name,
            environment=str(info.environment),
            account=info.account,
            currency=plan.currency,
            status=RunStatus.RUNNING,
            reason=plan.reason,
            plan={**plan.document(), "asked": asked},
            result=None,
            started_at=now,
            deadline=now + pacing.from_now(now).horizon,
        )

    async def close(
        self,
        run: Run,
        status: RunStatus,
        reason: str,
        prices: Mapping[str, Decimal] | None = None,
        after: Observation | None = None,
    ) -> Run:
        """End ``run`` with what it came to. prices: to value fees; after: the settled account, None when it is not known."""
        result = await self.result(run, prices or {}, after)
        now = self._clock.now()
        await self._journal.close_run(run.id, run.ended(status, reason), reason=reason, result=result, at=now)
        log.info("run.closed", run=run.id, status=str(status), reason=reason, leverage_after=result["leverage_after"])
        return replace(run, status=status, reason=reason, result=result, ended_at=now)

    async def result(self, run: Run, prices: Mapping[str, Decimal], after: Observation | None = None) -> dict[str, object]:
        """What ``run`` came to, from its rows in the journal and the settled account, if that is known."""
        work = Work(
            plan=run.plan,
            markets=self._observer.markets,
            children=await self._journal.children(run.id),
            fills=await self._journal.fills(run.id),
            prices=prices,
        )
        if strange := {leg["market"] for leg in work.legs} - set(work.markets):  # the mandate was changed since
            work = replace(work, markets={**work.markets, **await self._markets(sorted(strange))})
        known = [leg for leg in work.legs if leg["market"] in work.markets]
        return result_document(replace(work, plan={**work.plan, "legs": known}), after)

    async def _markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """Markets that the mandate names no more; none where the venue has dropped one of them."""
        try:
            return await self._venue.markets(symbols)
        except VenueError as error:
            log.warning("market.gone", fund=self._fund, symbols=list(symbols), error=str(error))
            return {}

    async def prices(self) -> Mapping[str, Decimal]:
        """What each asset is worth now, to value fees; the currency alone when the venue does not tell."""
        try:
            observation = await self._observer.observe()
            return observation.valuation().prices
        except (VenueError, StaleData) as error:
            log.warning("prices.unread", fund=self._fund, error=str(error))
            return {self._observer.currency: ONE}

    async def record_nav(self, run: Run, cause: NavCause, observation: Observation) -> None:
        """Add a NAV point. cause: what it is taken for."""
        if observation.unpriced:
            return  # what leaves assets out is no NAV
        await self._journal.record_nav(nav_point(self._fund, run.id, cause, observation))


def nav_point(fund: str, run: str, cause: NavCause, observation: Observation) -> NavPoint:
    """What a fund is worth as ``observation`` shows it, and what that is made of. run: empty where none takes it."""
    valuation = observation.valuation()
    beside = {asset: valuation.prices[asset] for asset in valuation.beside}
    return NavPoint(
        fund=fund,
        run=run,
        cause=cause,
        at=observation.at,
        nav=valuation.nav,
        currency=valuation.currency,
        net_leverage=valuation.net_leverage,
        gross_leverage=valuation.gross_leverage,
        exposures={**valuation.exposures, **valuation.beside},
        prices={**observation.marks, **beside},
    )


def _serving(before: Mapping[str, object], now: Mapping[str, object]) -> Mapping[str, object]:
    """The triggers that either attempt serves."""
    each = [one for one in (before.get("serves"), now.get("serves")) if isinstance(one, list)]
    return {"serves": list(dict.fromkeys(trigger for one in each for trigger in one))}


def carried_on(before: Mapping[str, object], now: Mapping[str, object]) -> Mapping[str, object]:
    """The plan document of a run that goes on: as it was made ``before``, and the legs that only ``now`` has.

    A market that is to be traded the other way now is a leg of its own, with its own decision price.
    """
    old, new = before.get("legs"), now["legs"]
    if not isinstance(old, list) or not old or not isinstance(new, list):
        return now
    planned = {(leg["market"], leg["side"]) for leg in old}
    return {
        **before,
        **_serving(before, now),
        "legs": [*old, *(leg for leg in new if (leg["market"], leg["side"]) not in planned)],
    }
