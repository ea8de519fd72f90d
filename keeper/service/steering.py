"""What a fund is to hold: what it is configured to, or what a source of targets says, slot by slot.

Each target that is used stands in the journal's chain with its source, so that emergencies go by the last one, whatever the
source says meanwhile. What can't be used refuses the run that asked for it; nothing is ever traded on what was said before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.numbers import parse_plain, plain
from keeper.domain.run import Run, RunStatus
from keeper.planning.limits import Refusal
from keeper.planning.plan import Plan, digest
from keeper.planning.written import WrittenPlan
from keeper.policy.steering import Wrong, jump, told
from keeper.ports import Journal, TargetSource, Untold
from keeper.service.fund import Fund

USED, WAITING, APPROVED = "target.used", "target.waiting", "target.approved"
"""Kinds of events: a run goes to a target, one is too far from the last for that, and a human approved of it."""


UNUSABLE, FAR = "target", "target_waits"
"""Codes of refusals: what was said can't be used, or waits for a human."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Targets (multiples of NAV by symbol) that a source named."""

    targets: Mapping[str, Decimal]
    source: str

    @property
    def digest(self) -> str:
        """What tells these targets from any other ones."""
        return digest(_written(self.targets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearing:
    """What a run is to be planned by.

    fund: with the targets that it is to hold; named: what the source said, None where there is none or it said nothing of use;
    refusals: why nothing may be traded; notes: where the targets come from, in words; approved: a human wants them, however far
    from those before they are.
    """

    fund: Fund
    named: Named | None = None
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    approved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Targets that wait for a human. before: those in force; until: how long they are approved of, None where they are not."""

    targets: Mapping[str, Decimal]
    before: Mapping[str, Decimal]
    source: str
    digest: str
    at: datetime
    until: datetime | None


class Helm:
    """Says what one fund is to hold. source: of its targets, None where the configuration alone says so."""

    def __init__(self, fund: Fund, journal: Journal, source: TargetSource | None = None) -> None:
        self._configured = fund
        self._journal = journal
        self._source = source if fund.steering is not None else None
        self.fund = fund

    async def begin(self) -> None:
        """Go by the targets that were used last."""
        self.fund = await in_force(self._journal, self._configured)

    async def bearing(self, fund: Fund, now: datetime, *, approved: bool, by: WrittenPlan | None) -> Bearing:
        """What the next run of ``fund`` is to be planned by: where a slot or a human wants one the source is asked.

        approved: a human wants what is said now, however far it is from before; by: the written plan to be carried out.
        """
        source, steering = self._source, self._configured.steering
        if source is None or steering is None or fund.urgent or fund.is_between or by is not None:
            return Bearing(fund=fund, approved=approved)
        said = await source.read()
        if isinstance(said, Untold):
            return self._refused(fund, UNUSABLE, f"{source.name} {said.why}")
        targets = told(said.document, steering, written_at=said.at, now=now)
        if isinstance(targets, Wrong):
            return self._refused(fund, UNUSABLE, f"{source.name}: {targets}")
        named, before = Named(targets=targets, source=source.name), self.fund.mandate.targets
        far = jump(before, targets)
        if far > steering.max_jump and not approved:
            approved = await self._is_approved(named, now)
        if far > steering.max_jump and not approved:
            words = (
                f"{source.name}: {_told(targets)} is {plain(far)} times NAV from {_told(before)}, and target_from.max_jump is"
                f" {plain(steering.max_jump)}: if that is meant, `keeper approve {fund.name}`"
            )
            return self._refused(fund, FAR, words, named)
        note = f"targets from {source.name}, of {said.at:%Y-%m-%d %H:%M:%S} UTC"
        return Bearing(fund=fund.holding(targets), named=named, notes=(note,), approved=approved)

    async def follow(self, bearing: Bearing, run: str, at: datetime) -> None:
        """Record what a run that begins goes by, or waits for."""
        if bearing.named is None:
            return
        name, targets = self._configured.name, _written(bearing.named.targets)
        payload: dict[str, object] = {"targets": targets, "source": bearing.named.source, "digest": bearing.named.digest}
        before = self.fund.mandate.targets
        payload |= {"before": _written(before)}
        if not bearing.refusals:
            self.fund = self._configured.holding(bearing.named.targets, before)
            await self._journal.note(USED, fund=name, run=run, at=at, payload=payload)
            return
        waiting = await self._journal.last_event(WAITING, name)
        is_new = waiting is None or waiting.payload["digest"] != bearing.named.digest
        if is_new or not await _is_last(self._journal, name, WAITING):
            await self._journal.note(WAITING, fund=name, run=run, at=at, payload=payload)

    async def ended(self, bearing: Bearing, run: Run, at: datetime) -> None:
        """Record that ``run`` reached the targets that it went by, if it did: from here on emergencies go by them alone."""
        if bearing.named is None or bearing.refusals or run.status not in (RunStatus.COMPLETED, RunStatus.NOTHING_DUE):
            return
        there = self._configured.holding(bearing.named.targets)
        if self.fund == there:
            return
        self.fund, targets = there, _written(bearing.named.targets)
        payload = {"targets": targets, "source": bearing.named.source, "digest": bearing.named.digest, "before": targets}
        await self._journal.note(USED, fund=there.name, run=run.id, at=at, payload=payload)

    def _refused(self, fund: Fund, code: str, words: str, named: Named | None = None) -> Bearing:
        in_force = self.fund.mandate.targets
        message = f"{words}; until then nothing is traded, and emergencies go by {_told(in_force)}"
        return Bearing(fund=fund.holding(in_force), named=named, refusals=(Refusal(code, message),))

    async def _is_approved(self, named: Named, now: datetime) -> bool:
        word = await self._journal.last_event(APPROVED, self._configured.name)
        if word is None or word.payload["digest"] != named.digest:
            return False
        used = await self._journal.last_event(USED, self._configured.name)
        return (used is None or used.seq < word.seq) and now < datetime.fromisoformat(str(word.payload["until"]))


def lacks_targets(plan: Plan) -> bool:
    """Whether ``plan`` is refused for what was said of its targets: that is nobody's trouble but theirs who name them."""
    return any(refusal.code in (UNUSABLE, FAR) for refusal in plan.refusals)


async def in_force(journal: Journal, fund: Fund) -> Fund:
    """``fund`` with the targets that it used last, where somebody else names them."""
    event = None if fund.steering is None else await journal.last_event(USED, fund.name)
    if event is None:
        return fund
    targets, before = read_targets(event.payload["targets"]), read_targets(event.payload["before"])
    return fund.holding(targets, before) if targets.keys() == fund.mandate.targets.keys() else fund


async def _is_last(journal: Journal, fund: str, kind: str) -> bool:
    """Whether the newest event of ``kind`` came after every target that was used."""
    event, used = await journal.last_event(kind, fund), await journal.last_event(USED, fund)
    return event is not None and (used is None or used.seq < event.seq)


async def pending(journal: Journal, fund: str) -> Pending | None:
    """The targets of ``fund`` that wait for a human, or were approved of and not used yet; None where there are none."""
    waiting = await journal.last_event(WAITING, fund)
    if waiting is None or not await _is_last(journal, fund, WAITING):
        return None
    word, found = await journal.last_event(APPROVED, fund), str(waiting.payload["digest"])
    is_approved = word is not None and word.seq > waiting.seq and word.payload["digest"] == found
    return Pending(
        targets=read_targets(waiting.payload["targets"]),
        before=read_targets(waiting.payload["before"]),
        source=str(waiting.payload["source"]),
        digest=found,
        at=waiting.at,
        until=datetime.fromisoformat(str(word.payload["until"])) if word is not None and is_approved else None,
    )


async def approved(journal: Journal, fund: str, wanted: Pending, *, at: datetime, lasts: timedelta) -> datetime:
    """Record that a human approves of ``wanted``; until when that holds is returned."""
    until = at + lasts
    await journal.note(APPROVED, fund=fund, run="", at=at, payload={"digest": wanted.digest, "until": until.isoformat()})
    return until


def read_targets(document: object) -> dict[str, Decimal]:
    """Targets as an event of the chain holds them."""
    return {str(symbol): parse_plain(str(target)) for symbol, target in document.items()} if isinstance(document, Mapping) else {}


def _written(targets: Mapping[str, Decimal]) -> dict[str, str]:
    return {symbol: plain(targets[symbol]) for symbol in sorted(targets)}


def _told(targets: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{symbol} at {plain(target)}x" for symbol, target in targets.items())
