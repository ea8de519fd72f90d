"""What a plan is made under: who plans, by which mandate, within which limits, after what. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from keeper.domain.fund import Standing, Usage
from keeper.planning.exposure import Slicer
from keeper.planning.limits import Limits, Refusal
from keeper.planning.written import Who, WrittenPlan
from keeper.policy.emergency import Emergency
from keeper.policy.mandate import Mandate


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Who plans and under which rules.

    usage: what was intended of the caps before; standing: whether the fund may trade, None where nobody said otherwise;
    last_targets: multiples of NAV by symbol that the fund last ran to, None where that is not known; approved_jump: an
    operator wants the new ones however far they are from those; blocked: refusals known beforehand; binding: those of
    them that only keep the fund from adding risk; urgent: what can be
    reduced is, whatever becomes of the rest; emptied: symbols of the hedge's legs of which the venue left nothing; begun: by
    symbol, the goals (multiples of NAV) of a run that was cut and goes on; account, rules: fingerprints of the venue account and
    of what fund and venue are configured to; written: the plan to be carried out, or none; emergency: what the fund is to be
    taken out of, whatever its mandate wants, or none; mute: symbols of markets that could not be traded for so long that an
    emergency waits for them no more; flows: by currency, what its books know to be on its way into the account, less what is to
    leave it.
    """

    fund: str
    venue: str
    environment: str
    mandate: Mandate
    limits: Limits
    slicer: Slicer
    horizon: timedelta
    usage: Usage = field(default_factory=Usage)
    standing: Standing | None = None
    last_targets: Mapping[str, Decimal] | None = None
    approved_jump: bool = False
    blocked: tuple[Refusal, ...] = ()
    binding: tuple[Refusal, ...] = ()
    urgent: bool = False
    emptied: frozenset[str] = frozenset()
    begun: Mapping[str, Decimal] = field(default_factory=dict)
    account: str = ""
    rules: str = ""
    written: WrittenPlan | None = None
    emergency: Emergency | None = None
    mute: frozenset[str] = frozenset()
    flows: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def who(self) -> Who:
        """Whose plans these are."""
        return Who(fund=self.fund, account=self.account, rules=self.rules)
