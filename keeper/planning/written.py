"""A plan that was written down, to be carried out later or not at all: its document, and what must still hold then. Pure.

What is carried out is planned anew at the live account, toward the goals that were written and within their caps; anything
that would make it another plan than the one that a human looked at is an objection, and one objection is enough.

The digest tells a document that was altered or cut off from one that was not. It is no signature: who can write the document
can write its digest, and gets no further than any plan does, since every order still has to pass the gate.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from keeper.domain.account import value
from keeper.domain.market import Side
from keeper.domain.numbers import BPS, exact, parse_plain, plain, rounded
from keeper.domain.observation import Observation, holdings
from keeper.planning.limits import Refusal
from keeper.planning.plan import Plan, PlanLeg, digest
from keeper.policy.triggers import Due, NotDue

FORMAT = "keeper plan 1"
_PLACES = 24
"""Decimal places of a goal: as many as can be read back."""


class Unusable(ValueError):
    """What should be a written plan is none, or not the one that was written. The message says which, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whose plan it is. account, rules: fingerprints of the venue account and of what fund and venue are configured to."""

    fund: str
    account: str
    rules: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLeg:
    """One market to trade. goal: multiple of NAV; cap: contracts (> 0) that may be traded at the most."""

    side: Side
    goal: Decimal
    cap: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPlan:
    """A plan as it was written.

    tolerance: how far a mark, or what the account is worth at the marks that were written, may have moved, a fraction; nav:
    currency; prices: marks (quote per base) and positions: signed contracts, by symbol of each of the fund's markets; legs: by
    symbol; times: aware UTC; digest: hexadecimal; document: all of it, as ``written`` made it.
    """

    who: Who
    at: datetime
    expires_at: datetime
    tolerance: Decimal
    nav: Decimal
    prices: Mapping[str, Decimal]
    positions: Mapping[str, Decimal]
    legs: Mapping[str, WrittenLeg]
    digest: str
    document: Mapping[str, object]

    @property
    def decision(self) -> Due | NotDue:
        """What was decided when it was written."""
        name = f"the written plan {self.digest[:12]}"
        if not self.legs:
            return NotDue(f"{name} trades nothing")
        wants = ", ".join(f"{symbol} to {leg.goal:.3f}x" for symbol, leg in self.legs.items())
        return Due(f"{name} wants {wants}", {symbol: leg.goal for symbol, leg in self.legs.items()})


@exact
def written(plan: Plan, who: Who, observation: Observation, tolerance_bps: Decimal) -> dict[str, object]:
    """The document of ``plan``, which was made of ``observation``: the shape in the README, every number a string."""
    body: dict[str, object] = {
        "format": FORMAT,
        "fund": who.fund,
        "account": who.account,
        "rules": who.rules,
        "at": plan.at.isoformat(),
        "expires_at": plan.expires_at.isoformat(),
        "tolerance_bps": plain(tolerance_bps),
        "nav": plain(rounded(plan.nav, _PLACES)),
        "prices": {symbol: plain(mark) for symbol, mark in observation.marks.items()},
        "positions": {symbol: plain(contracts) for symbol, contracts in holdings(observation).items()},
        "legs": {
            leg.symbol: {"side": str(leg.side), "goal": plain(rounded(leg.goal, _PLACES)), "cap": plain(leg.cap)}
            for leg in plan.legs
        },
        "plan": plan.document(),
    }
    return {**body, "digest": digest(body)}


def read(text: str) -> WrittenPlan:
    """The plan that stands in the text of a file. Unusable for anything but what ``written`` made."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Unusable("it holds no plan: write one with `keeper plan --out`")
    return from_document(document)


@exact
def from_document(document: Mapping[str, object]) -> WrittenPlan:
    """The plan of a document. Unusable for anything but what ``written`` made."""
    if document.get("format") != FORMAT:
        raise Unusable(f"its format is {document.get('format')!r}, this Keeper reads {FORMAT!r}: write it anew")
    if document.get("digest") != digest({key: item for key, item in document.items() if key != "digest"}):
        raise Unusable("it is not as it was written (its digest does not fit): write it anew")
    try:
        return WrittenPlan(
            who=Who(fund=_text(document, "fund"), account=_text(document, "account"), rules=_text(document, "rules")),
            at=_instant(document, "at"),
            expires_at=_instant(document, "expires_at"),
            tolerance=_positive(_text(document, "tolerance_bps")) / BPS,
            nav=parse_plain(_text(document, "nav")),
            prices=_numbers(document, "prices", _positive),
            positions=_numbers(document, "positions", parse_plain),
            legs={symbol: _leg(_table(_table(document, "legs"), symbol)) for symbol in _table(document, "legs")},
            digest=_text(document, "digest"),
            document=document,
        )
    except (KeyError, ValueError) as error:
        raise Unusable(f"it is no plan that Keeper wrote ({error}): write it anew") from error


def bounded(legs: Sequence[PlanLeg], plan: WrittenPlan) -> tuple[PlanLeg, ...]:
    """``legs`` with no cap above the one that was written."""
    return tuple(replace(leg, cap=min(leg.cap, plan.legs[leg.symbol].cap)) if leg.symbol in plan.legs else leg for leg in legs)


@exact
def objections(plan: WrittenPlan, who: Who, observation: Observation, legs: Sequence[PlanLeg]) -> Iterator[Refusal]:
    """Why ``plan`` may not be carried out by ``who`` any more. legs: what would be traded now toward its goals."""
    anew = "write the plan anew with `keeper plan --out`"
    for code, what, then, now in (
        ("plan_fund", "fund", plan.who.fund, who.fund),
        ("plan_account", "account", plan.who.account, who.account),
        ("plan_mandate", "configuration of fund and venue", plan.who.rules, who.rules),
    ):
        if then != now:
            yield Refusal(code, f"the written plan is of another {what} ({then}, here it is {now}): {anew}")
    if not (plan.at <= observation.at < plan.expires_at):
        span = f"from {plan.at:%Y-%m-%d %H:%M:%S} to {plan.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        yield Refusal("plan_expired", f"the written plan holds {span}, and it is {observation.at:%Y-%m-%d %H:%M:%S}: {anew}")
    held = holdings(observation)
    if set(held) != set(plan.positions) or set(held) != set(plan.prices):
        yield Refusal("plan_account", f"the written plan is of other markets than the fund has: {anew}")
        return
    for symbol, contracts in held.items():
        if contracts != plan.positions[symbol]:
            words = f"{plain(contracts)} of {symbol} are held, the written plan was made of {plain(plan.positions[symbol])}"
            yield Refusal("plan_position", f"{words}: {anew}")
    for symbol, mark in observation.marks.items():
        before = plan.prices[symbol]
        if not (abs(mark - before) <= before * plan.tolerance):
            words = f"{symbol} went from {plain(before)} to {plain(mark)}, further than {plain(plan.tolerance * BPS)} bps"
            yield Refusal("plan_price", f"{words}: {anew}")
    worth = value(
        observation.account, observation.markets.values(), plan.prices, observation.currency, observation.conversions
    ).nav
    if not (abs(worth - plan.nav) <= abs(plan.nav) * plan.tolerance):
        words = f"the account is worth {worth:.2f} {observation.currency} at the prices of the written plan, not {plan.nav:.2f}"
        yield Refusal("plan_account", f"{words}: {anew}")
    yield from _another(plan, legs, anew)


def _another(plan: WrittenPlan, legs: Sequence[PlanLeg], anew: str) -> Iterator[Refusal]:
    """What makes the legs of now other ones than those that were written."""
    now, then = ({(leg.symbol, leg.side) for leg in legs}, {(symbol, leg.side) for symbol, leg in plan.legs.items()})
    if now != then:
        here, there = (", ".join(sorted(f"{side} {symbol}" for symbol, side in each)) or "nothing" for each in (now, then))
        yield Refusal("plan_legs", f"toward its goals there is now {here} to do, in the written plan there was {there}: {anew}")
        return
    for leg in legs:
        if not (leg.amount <= plan.legs[leg.symbol].cap):
            words = f"{plain(leg.amount)} contracts of {leg.symbol} are wanted now, the written plan allows"
            yield Refusal("plan_legs", f"{words} {plain(plan.legs[leg.symbol].cap)}: {anew}")


def _leg(table: Mapping[str, object]) -> WrittenLeg:
    goal, cap = parse_plain(_text(table, "goal")), _positive(_text(table, "cap"))
    return WrittenLeg(side=Side(_text(table, "side")), goal=goal, cap=cap)


def _text(table: Mapping[str, object], key: str) -> str:
    text = table[key]
    if not isinstance(text, str):
        raise Unusable(f"{key} is no text")
    return text


def _table(table: Mapping[str, object], key: str) -> Mapping[str, object]:
    below = table[key]
    if not isinstance(below, dict):
        raise Unusable(f"{key} is no table")
    return below


def _numbers(table: Mapping[str, object], key: str, reader: Callable[[str], Decimal]) -> dict[str, Decimal]:
    below = _table(table, key)
    return {symbol: reader(_text(below, symbol)) for symbol in below}


def _positive(text: str) -> Decimal:
    number = parse_plain(text)
    if not number > 0:
        raise Unusable(f"{text} is not above 0")
    return number


def _instant(table: Mapping[str, object], key: str) -> datetime:
    at = datetime.fromisoformat(_text(table, key))
    if at.utcoffset() is None:
        raise Unusable(f"{key} has no zone")
    return at
