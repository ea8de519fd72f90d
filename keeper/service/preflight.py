"""Whether a fund may be trusted with orders: the whole list for an operator, and what keeps it from trading at its start.

A start looks at what can't be mended later: a key that can withdraw, or may not trade; an account that can't be sized on, or
that the venue reckons otherwise than we do; leverage settings at which the target can't be backed, which keep it from adding
risk alone. Hedge mode ends a connection, a changed contract a run. What can't be read keeps nobody from trading.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain

from keeper.inspectable import Inspectable
from keeper.planning.limits import Refusal
from keeper.ports import Venue
from keeper.service import account_checks, leverage_checks, market_checks
from keeper.service.briefing import Known
from keeper.service.documents import Document, utc_text
from keeper.service.examination import heard, reckoned
from keeper.service.findings import Facts, Finding, MarketFacts, Untold, Verdict
from keeper.service.fund import Fund
from keeper.service.observer import Observer
from keeper.service.premises import Premises, premises


def examined(facts: Facts, told: Premises) -> tuple[Finding, ...]:
    """Every line about a fund, in the order in which they are to be mended."""
    found: Iterable[Finding] = chain(
        account_checks.connection(facts),
        account_checks.keys(facts),
        account_checks.kind(facts),
        account_checks.position_mode(facts),
        market_checks.markets(facts),
        leverage_checks.margin(facts),
        account_checks.account(facts),
        account_checks.guard(facts),
        premises(told, facts.fund.name, facts.now),
    )
    return tuple(found)


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """The worst of them."""
    return max((one.verdict for one in findings), key=list(Verdict).index, default=Verdict.OK)


def exit_code(findings: Sequence[Finding]) -> int:
    """The code of the first that fails; 0 where none does."""
    return next((one.exit_code for one in findings if one.verdict is Verdict.FAIL), 0)


def document(facts: Facts, findings: Sequence[Finding], changes: Sequence[Document]) -> Document:
    """One fund of what `doctor` prints."""
    return {
        "fund": facts.fund.name,
        "venue": facts.info.name,
        "environment": str(facts.info.environment),
        "at": utc_text(facts.now),
        "verdict": verdict_of(findings).value,
        "findings": [
            {
                "check": one.check,
                "market": one.market or None,
                "verdict": one.verdict.value,
                "found": one.found,
                "remedy": one.remedy or None,
            }
            for one in findings
        ],
        "changes": list(changes),
    }


class Preflight:
    """What keeps a fund from trading on one connection. Looked at when something is planned, until it is known to be in order."""

    def __init__(self, fund: Fund, venue: Venue, observer: Observer) -> None:
        self._fund = fund
        self._venue = venue
        self._observer = observer
        self._found = Known()
        self._is_known = False

    async def known(self) -> Known:
        """Why nothing may be planned now, or no risk added; what was found to be in order is not asked again."""
        if self._found != Known() or not self._is_known:
            await self.look()
        return self._found

    async def look(self) -> None:
        """Ask the venue. Nothing of it raises: what it does not tell is not held against the account."""
        told = self._venue if isinstance(self._venue, Inspectable) else None
        if told is None:
            return
        if told.unfit is not None and (unfit := await _still_unfit(told)) is not None:
            self._found = Known(blocked=(unfit,))
            return
        asked = heard(told.key()), self._settings(told), reckoned(self._venue, self._observer)
        rights, markets, (observation, own) = await asyncio.gather(*asked)  # together: a first order waits for this
        facts = Facts(
            fund=self._fund, info=self._venue.info, now=self._venue.clock.now(), inspected=True, ways=told.ways, markets=markets
        )
        findings = [*account_checks.rights(rights, facts.info.environment, facts.now)]
        if not isinstance(observation, Untold):
            findings += account_checks.equity(observation, own)
        unread = [rights, observation, *(one.modes for one in markets)]
        self._is_known = not any(isinstance(one, Untold) for one in unread)
        binding = _refusals([*leverage_checks.margin(facts), *account_checks.guard(facts)])
        self._found = Known(blocked=_refusals(findings), binding=binding)

    async def _settings(self, told: Inspectable) -> tuple[MarketFacts, ...]:
        """The settings of each market of the target, from which it follows what the target binds as margin."""
        symbols, markets = self._fund.symbols, self._observer.markets
        modes = await asyncio.gather(*(heard(told.modes(symbol)) for symbol in symbols))
        return tuple(
            MarketFacts(symbol=symbol, market=markets[symbol], modes=one) for symbol, one in zip(symbols, modes, strict=True)
        )


async def _still_unfit(told: Inspectable) -> Refusal | None:
    """Why nothing may be sized on an account that was found to be unfit; None where that was mended."""
    now = await heard(told.admit())
    known = told.unfit
    if now is None:
        return None
    return Refusal(known.code, known.message) if known is not None else Refusal(now.code, now.why)


def _refusals(findings: Iterable[Finding]) -> tuple[Refusal, ...]:
    return tuple(Refusal(one.check, f"{one.found}: {one.remedy}") for one in findings if one.verdict is Verdict.FAIL)
