"""What was found out about a fund before it trades: facts as they were told, and what they come to, line by line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from keeper.domain.account import Valuation
from keeper.domain.inspection import Bracket, Contact, FeeRates, KeyFacts, Modes, Setting, Ways
from keeper.domain.market import Market
from keeper.domain.observation import Observation
from keeper.ports import VenueInfo
from keeper.service.fund import Fund

REFUSED, UNREACHED, JOURNAL, MISCONFIGURED = 3, 69, 73, 78
"""Exit codes of what fails: as a run would be refused; the venue or its account can't be used; the journal; what is set up."""
HEDGE_MODE = "hedge_mode"


class Verdict(StrEnum):
    """What a finding comes to."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line. check: what was looked at, stable; market: its symbol, empty for the whole account; exit_code: where it fails."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""
    market: str = ""
    exit_code: int = 0


def ok(check: str, found: str, market: str = "") -> Finding:
    """Nothing to do."""
    return Finding(check=check, verdict=Verdict.OK, found=found, market=market)


def warn(check: str, found: str, remedy: str, market: str = "") -> Finding:
    """To be known, and nothing that keeps a fund from trading."""
    return Finding(check=check, verdict=Verdict.WARN, found=found, remedy=remedy, market=market)


def fail(check: str, found: str, remedy: str, exit_code: int, market: str = "") -> Finding:
    """To be mended first."""
    return Finding(check=check, verdict=Verdict.FAIL, found=found, remedy=remedy, market=market, exit_code=exit_code)


def change_by(ways: Ways, fund: str, setting: Setting, what: str) -> str:
    """How the operator of ``fund`` changes a setting that does not suit. what: is to be done, in words."""
    place = ways.by_hand.get(setting, "on the exchange's own site or app")
    if setting in ways.by_us:
        return f"{what}: `keeper doctor {fund} --fix` does while nothing is held, or {place}"
    return f"{what}: {place}"


@dataclass(frozen=True, slots=True)
class Untold:
    """What could not be read. why: in words; code: of the venue's refusal, empty where it was none.

    unfit: whether the account can be looked at and reduced all the same.
    """

    why: str
    code: str = ""
    unfit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """What a venue tells of one market of a fund.

    pinned: what it was when the fund first traded it, None before; ends: when it goes off the list; account_mode: what kind of
    account it is, in the venue's words, Untold where that kind can't trade this market; most_leverage: what
    the smallest positions are granted; the rest None where the venue has
    nothing of the kind.
    """

    symbol: str
    market: Market | Untold
    pinned: Mapping[str, object] | None = None
    ends: datetime | Untold | None = None
    account_mode: str | Untold | None = None
    modes: Modes | Untold | None = None
    fees: FeeRates | Untold | None = None
    brackets: tuple[Bracket, ...] | Untold = ()
    most_leverage: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a venue tells of a fund's account.

    inspected: whether it tells of more than an account, as an exchange does; contact: Untold where there is no connection;
    reached: hosts that were asked, and what stood for each; ways: how settings are changed there; admission: why the account is
    not admitted, None where it is;
    own: what each asset comes to by our reckoning, at the account's marks; worth: what the account comes to at the markets'.
    """

    fund: Fund
    info: VenueInfo
    now: datetime
    inspected: bool
    contact: Contact | Untold | None = None
    reached: Mapping[str, str] = field(default_factory=dict)
    ways: Ways = field(default_factory=Ways)
    admission: Untold | None = None
    key: KeyFacts | Untold | None = None
    markets: tuple[MarketFacts, ...] = ()
    observation: Observation | Untold | None = None
    own: Mapping[str, Decimal] | Untold | None = None
    worth: Valuation | Untold | None = None

    @property
    def let_in(self) -> bool:
        """Whether what takes a key could be asked: an account in hedge mode, or of a kind not traded, is read all the same."""
        return self.admission is None or self.admission.code == HEDGE_MODE or self.admission.unfit

    @property
    def connected(self) -> bool:
        """Whether the venue was reached at all."""
        return not isinstance(self.contact, Untold)

    @property
    def hedged(self) -> bool | None:
        """Whether the account keeps both sides of a market apart; None where nobody says."""
        if self.admission is not None and self.admission.code == HEDGE_MODE:
            return True
        told = [one.modes.hedged for one in self.markets if isinstance(one.modes, Modes) and one.modes.hedged is not None]
        return any(told) if told else None

    @property
    def nav(self) -> Decimal | None:
        """What the account is worth, in the fund's currency; None where that is not known or not above zero."""
        return self.worth.nav if isinstance(self.worth, Valuation) and self.worth.nav > 0 else None
