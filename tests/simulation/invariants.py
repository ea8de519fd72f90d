"""What must hold whatever goes wrong, judged on the exchange's truth and on what the journal had committed by then."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from keeper.domain.fund import FundState
from keeper.domain.market import Side
from keeper.domain.order import CLIENT_ID_PREFIX, ChildState
from keeper.planning.gate import EMERGENCY_SLACK
from keeper.planning.plan import EMERGENCY, FLATTEN, GUARD
from keeper.policy.breakers import Cause
from keeper.policy.emergency import PATIENCE
from tests.simulation.database import Disk
from tests.simulation.exchange import Exchange
from tests.simulation.funds import Rules
from tests.simulation.orders import Asked, Holdings, Order
from tests.simulation.trace import Trace

ZERO = Decimal(0)
LOOK_BACK = timedelta(seconds=20)
"""How old what a decision rests on may be when its order arrives."""
CLOCKS_APART = timedelta(seconds=2)
"""By how much the clock of a process may be off."""
SLACK = Decimal("0.006")
"""Of a trade: by how much its size may be off for its costs, and for prices that a collar lets pass."""
LEAST_KEPT = Decimal("0.6")
"""Of its target, what an emergency leaves of a leg at the least where the legs have drifted apart."""
REPLACING = timedelta(minutes=10)
"""For how long those that are replaced may rest beside their successors, at the most, while answers are lost."""
_SENT_BY = "SELECT run, leg, amount, state FROM children WHERE client_id = ?"
_TRIGGER = "SELECT trigger FROM runs WHERE id = (SELECT run FROM children WHERE client_id = ?)"
_TAKEN_UP = (
    "SELECT max(at) FROM events WHERE kind IN ('run.opened', 'run.reopened')"
    " AND run = (SELECT run FROM children WHERE client_id = ?)"
)
_EMERGENCIES = "SELECT count(*) FROM runs WHERE trigger LIKE 'emergency:%' AND started_at > ?"
_BEGAN = "SELECT started_at FROM runs WHERE id = (SELECT run FROM children WHERE client_id = ?)"
_STATE = "SELECT state, cause, reason FROM fund_states WHERE fund = ?"


class Violated(Exception):
    """An invariant does not hold."""


@dataclass(slots=True)
class Judge:
    """Judges one world.

    flying: the requests in the air; resumed: how often the operator has resumed the fund; lost: client ids that the journal knew
    before an older one was put in its place, and which nobody has taken note of since; stood_since, stood_until: when the
    account was last read as it was; all_is_told: nothing hides from the fund what moved its positions; was_cut: the venue has
    forced a trade on the account; state: how the fund stands; acted: for how long a process could do something since then.
    """

    exchange: Exchange
    disk: Disk
    trace: Trace
    rules: Rules
    acted: Callable[[datetime], timedelta]
    found: list[str] = field(default_factory=list)
    flying: dict[str, list[Asked]] = field(default_factory=lambda: defaultdict(list))
    resumed: int = 0
    lost: set[str] = field(default_factory=set)
    stood_since: datetime | None = None
    stood_until: datetime | None = None
    all_is_told: bool = True
    was_cut: bool = False
    state: str = FundState.ACTIVE
    _cleared: set[str] = field(default_factory=set)
    _triggers: dict[str, str] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _put_back_at: datetime | None = None
    _accepted_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    _halted_at: datetime | None = None
    _resumed_before: int = 0
    _struck: bool = False
    _paid_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    _foreign_at: dict[str, datetime] = field(default_factory=dict)
    _navs: list[tuple[datetime, Decimal]] = field(default_factory=list)

    def violated(self, invariant: str, why: str) -> None:
        self.found.append(f"{invariant}: {why}")
        self.trace.add("judge", "VIOLATED", f"{invariant}: {why}")

    def on_flight(self, asked: Asked, in_the_air: bool) -> None:  # noqa: FBT001 - a switch is what it tells of
        """A request departs, or its way ends."""
        if not in_the_air:
            self.flying[asked.symbol].remove(asked)
            return
        now = self.exchange.now()
        self._navs.append((now, self.exchange.nav()))
        for other in () if asked.trigger is not None else self.flying[asked.symbol]:
            if other.trigger is None and now <= other.sent + other.window:
                self.violated("I3", f"{asked.client_id} was sent while {other.client_id} may still arrive")
        for order in self.exchange.orders:
            if order.symbol == asked.symbol and is_ours(order) and order.state is ChildState.LIVE and order.trigger is None:
                self.violated("I3", f"{asked.client_id} was sent while {order.client_id} is live")
        self.flying[asked.symbol].append(asked)
        if asked.host not in self.rules.dialect.hosts[self.rules.environment]:
            self.violated("I14", f"{asked.client_id} went to {asked.host}")
        trigger = next((trigger for (trigger,) in self.disk.rows(_TRIGGER, asked.client_id)), "")
        self._triggers[asked.client_id] = trigger
        if self.lost:
            self._judge_sending(asked, trigger)

    def _judge_sending(self, asked: Asked, trigger: str) -> None:
        """I2: nothing is sent before a human took note of what the venue has and a journal that was put back lacks."""
        placed = {order.client_id for order in self.exchange.orders} & self.lost
        if asked.client_id not in placed:
            self.lost.discard(asked.client_id)  # it never arrived, and is known again
        # to flatten is a human's word as well, and only reduces
        if placed and not trigger.startswith(FLATTEN):
            self.violated("I2", f"{asked.client_id} was sent while the journal lacks {', '.join(sorted(placed)[:3])}")

    def on_change(self, what: str, order: Order | None) -> None:
        """The exchange took an order, or made a trade, or the account changed from elsewhere."""
        self.look()
        words = "" if order is None else f"{order.client_id} {order.side} {order.filled}/{order.amount} {order.symbol}"
        self.trace.add("exchange", what, words)
        if what.startswith("deposit"):
            self._paid_at = self.exchange.now()
        if order is None or not is_ours(order):
            # coins that came while an order was on its way were not there when it was sized
            moved = {order.symbol} if order is not None else {symbol for symbol in self.rules.markets if what.endswith(symbol)}
            self._foreign_at |= dict.fromkeys(moved, self.exchange.now())
            return
        if what == "order taken":
            self._taken(order)
        else:
            self._traded(order)

    def look(self) -> None:
        """Notice how the fund stands: HALTED stays until a human says otherwise."""
        self._navs.append((self.exchange.now(), self.exchange.nav()))
        rows = self.disk.rows(_STATE, self.rules.fund)
        state = rows[0][0] if rows else FundState.ACTIVE
        if state == self.state:
            return
        if self.state == FundState.HALTED and self.resumed == self._resumed_before:
            self.violated("I15", f"nobody resumed the fund, and it is {state}")
        if rows and rows[0][1] == Cause.POSITION and "without an order that explains it" in rows[0][2] and self.all_is_told:
            self.violated("I5", f"the fund is {state} for what can be explained: {rows[0][2]}")
        self.state, self._resumed_before = state, self.resumed
        self._halted_at = self.exchange.now() if state == FundState.HALTED else None

    def navs(self, since: datetime) -> list[Decimal]:
        """What the account was worth, each time that somebody looked, from ``since`` until now."""
        first = max(0, bisect_left(self._navs, since, key=lambda one: one[0]) - 1)
        return [nav for _, nav in self._navs[first:]]

    def about_to_put_back(self) -> None:
        """An older journal is about to take the place of this one."""
        self._known = {name for (name,) in self.disk.rows("SELECT client_id FROM children")}

    def put_back(self) -> None:
        """What the journal said since then is forgotten, how the fund stands as well."""
        left = {name for (name,) in self.disk.rows("SELECT client_id FROM children")}
        self.lost = (self.lost | self._known) - left
        self._put_back_at = self.exchange.now()
        rows = self.disk.rows(_STATE, self.rules.fund)
        self.state, self._halted_at = rows[0][0] if rows else FundState.ACTIVE, None
        self.trace.add("world", "put back", f"a journal that lacks {sorted(self._known - left)}")

    def accepted(self) -> None:
        """A human has taken note of what the venue had and the journal lacked: from here on its caps count what it has."""
        self.lost.clear()
        self._accepted_at = self.exchange.now()

    def all_clear(self) -> None:
        """I6: whoever was told that nothing of ours is left, and nothing on its way, was told the truth."""
        self._cleared |= {asked.client_id for flying in self.flying.values() for asked in flying}
        for order in self.exchange.orders:
            if is_ours(order) and order.state is ChildState.LIVE:
                self.violated("I6", f"{order.client_id} rests although nothing of ours was said to be left")

    @property
    def is_flat(self) -> bool:
        """Whether nothing is held that a venue would let one close."""
        return not self._left()

    def must_be_flat(self) -> None:
        """What must hold some time after a human had the fund flattened, in quiet times."""
        for symbol, held in self._left().items():
            self.violated("I5", f"{held} of {symbol} are left after the fund was flattened: {self._why_not()}")

    def _left(self) -> dict[str, Decimal]:
        left = {}
        for symbol in self.rules.mandate.targets:
            market, mark = self.exchange.markets[symbol], self.exchange.prices.mark(symbol)
            smallest = market.min_cost / mark if self.exchange.is_spot(symbol) else ZERO
            if abs(held := self.exchange.held(symbol)) > smallest + market.lot:
                left[symbol] = held
        return left

    def _why_not(self) -> str:
        rows = self.disk.rows("SELECT status, reason FROM runs WHERE trigger LIKE 'flatten:%' ORDER BY started_at DESC LIMIT 1")
        return " ".join(map(str, rows[0])) if rows else "there was no run"

    def _taken(self, order: Order) -> None:
        rows = self.disk.rows(_SENT_BY, order.client_id)
        if len(self.exchange.under(order.client_id)) > 1:
            self.violated("I1", f"{order.client_id} was placed twice")
        if not rows and not self._was_known(order):
            self.violated("I2", f"{order.client_id} was placed and the journal does not know it")
        elif rows and Decimal(rows[0][2]) != order.amount:
            self.violated("I4", f"{order.client_id} is {order.amount}, its intent {rows[0][2]}")
        elif rows and rows[0][3] in ("rejected", "not_placed"):
            self.violated("I7", f"{order.client_id} was placed after it was given up as {rows[0][3]}")
        if order.client_id in self._cleared:
            self.violated("I6", f"{order.client_id} arrived although nothing of ours was said to be on its way")
        if self._halted_at is not None and self.exchange.now() > self._halted_at + self.rules.order_ttl + timedelta(seconds=1):
            self.violated("I6", f"{order.client_id} was placed {self.exchange.now() - self._halted_at} after the fund was halted")
        self._judge_caps(order)

    def _was_known(self, order: Order) -> bool:
        """Whether it was sent before the journal that knew it was lost."""
        return order.client_id in self.lost and self._put_back_at is not None

    def _judge_caps(self, order: Order) -> None:
        limits, now = self.rules.limits, self.exchange.now()
        trigger = self._triggers.get(order.client_id, "")
        urgent = trigger.startswith((FLATTEN, EMERGENCY))
        if urgent and not self._reduces(order):
            self.violated("I8", f"{order.client_id} of {trigger} may open or add")
        if trigger.startswith(EMERGENCY):
            self._judge_need(order)
        if order.trigger is not None:
            self._judge_stop(order, trigger)
            return
        notional = order.amount * order.price
        if notional > limits.max_order_notional:
            self.violated("I8", f"{order.client_id} of {notional:.2f} is above the largest order")
        low, high = self.exchange.prices.between(order.symbol, now - LOOK_BACK)
        # from the mid, which may be as far from the mark, or further where a reduction can't wait
        collar = (1 + (EMERGENCY_SLACK if urgent else 1)) * limits.max_slippage_bps / 10_000 + Decimal("0.0005")
        if not low * (1 - collar) <= order.price <= high * (1 + collar):
            self.violated("I8", f"{order.client_id} at {order.price} is outside of the collar around {low} to {high}")
        if not self._reduces(order):
            # money that leaves while an order is on its way is nobody's fault
            navs = [nav for at, nav in self._navs if at > now - LOOK_BACK]
            leverage = (self.exchange.exposure() + notional) / max([self.exchange.nav(), *navs])
            grows = (self.exchange.held(order.symbol) >= 0) is (order.side is Side.BUY)
            if grows and leverage > limits.max_leverage * Decimal("1.03"):
                self.violated("I8", f"{order.client_id} makes the leverage {leverage:.2f}")
        self._judge_windows(order)

    def _judge_stop(self, order: Order, trigger: str) -> None:
        """I17: a stop only ever reduces, and is placed by nothing but what guards."""
        if not trigger.startswith(GUARD) or not order.reduce_only:
            self.violated("I17", f"{order.client_id} of {trigger} is a stop that guards nothing")
        if order.amount * order.price > EMERGENCY_SLACK * self.rules.limits.max_order_notional:
            self.violated("I8", f"{order.client_id} of {order.amount * order.price:.2f} is above the largest stop")

    def _went_off(self, order: Order) -> None:
        """I17: a stop turns no position around, and leaves a fund that nothing else moved what an emergency would."""
        self._struck = True
        held, since = self.exchange.held(order.symbol), order.placed_at or order.at
        if held and (held > 0) is (order.side is Side.BUY):
            self.violated("I17", f"{order.client_id} turned the position around to {held} of {order.symbol}")
        stops = (other for other in self.exchange.orders if other.trigger is not None and other.symbol == order.symbol)
        # those that it replaces rest beside a new one until they are taken back, which who is dead or stands still can't do
        placed = (other.placed_at for other in stops if other.placed_at is not None and other.placed_at <= order.at)
        lately = self.acted(max(placed, default=since)) < REPLACING
        moved = lately or any(at > since for at in self._foreign_at.values()) or self._paid_at > since
        # one of another market is sized as if this one stood still
        apart = (other for other in self.exchange.orders if other.trigger is None or other.symbol != order.symbol)
        others = (other for other in apart if other.trades)
        if moved or self._moved_apart(order.symbol, since) or any(other.trades[-1].at > since for other in others):
            return
        left = self.exchange.exposure() / self.exchange.nav()
        if left < self.rules.emergency.to * Decimal("0.97"):
            self.violated("I17", f"{order.client_id} left {left:.3f}x, an emergency ends at {self.rules.emergency.to}x")

    def _moved_apart(self, symbol: str, since: datetime) -> bool:
        """Whether the price of another market moved by more than 2 %: a stop is placed as if those stood still."""
        others = [self.exchange.prices.between(other, since) for other in self.rules.mandate.targets if other != symbol]
        return any(high > low * Decimal("1.02") for low, high in others)

    def _judge_need(self, order: Order) -> None:
        """I16: whoever de-levers between slots had more leverage than where an emergency ends, at a price since its plan."""
        rule, since = self.rules.emergency, self.planned_at(order) - LOOK_BACK
        marks = {symbol: self.exchange.prices.between(symbol, since) for symbol in self.rules.mandate.targets}
        stale = self.stood_since is not None and (self.stood_until is None or self.stood_until > since)
        seen = [holdings for holdings in self.exchange.history if holdings.at >= since] or self.exchange.history[-1:]
        if stale or self._foreign_at.get(order.symbol, since) > since:
            return
        before = self.exchange.seen(since)
        highest = max(self._leverage(holdings, picks) for holdings in (before, *seen) for picks in _corners(marks))
        if highest < rule.to * Decimal("0.99"):
            self.violated("I16", f"{order.client_id} de-levers a fund at {highest:.3f}x, an emergency ends at {rule.to}x")

    def planned_at(self, order: Order) -> datetime:
        """When the attempt of its run began that ``order`` belongs to."""
        ((latest,),) = self.disk.rows(_TAKEN_UP, order.client_id)
        return order.at if latest is None else min(order.at, datetime.fromisoformat(latest))

    def _leverage(self, holdings: Holdings, marks: Mapping[str, Decimal]) -> Decimal:
        sizes = {symbol: size for symbol, (size, _) in holdings.positions.items()}
        profit = sum(((marks[symbol] - entry) * size for symbol, (size, entry) in holdings.positions.items()), ZERO)
        nav = holdings.cash + profit
        exposure = sum((abs(size) * marks[symbol] for symbol, size in sizes.items()), ZERO)
        return exposure / nav if nav > 0 else Decimal(1000)

    def _reduces(self, order: Order) -> bool:
        """Whether it can't add risk: a sale of coins can't, since none are lent here."""
        return order.side is Side.SELL if self.exchange.is_spot(order.symbol) else order.reduce_only

    def _judge_windows(self, order: Order) -> None:
        """I11: what adds risk, at limit price, over the day up to this order."""
        now, cap = self.exchange.now(), self.rules.limits.max_turnover_per_day
        # it counts when it was meant to be sent, by its own clock, which may have been set since
        since = max(now - timedelta(days=1) + self.rules.order_ttl + CLOCKS_APART, self._accepted_at)
        day = [other for other in self.exchange.orders if is_ours(other) and other.at > since]
        added = sum((other.amount * other.price for other in day if not self._reduces(other)), ZERO)
        highest = max(nav for at, nav in self._navs if at > now - timedelta(days=1))
        if not self._reduces(order) and added > cap * highest:
            self.violated("I11", f"{order.client_id} makes the day's turnover {added:.2f}, allowed are {cap} times NAV")

    def _traded(self, order: Order) -> None:
        """I4: no fill passes the target at any price that its decision may have rested on."""
        if order.filled > order.amount:
            self.violated("I4", f"{order.client_id} was filled by {order.filled} of {order.amount}")
        if order.trigger is not None:
            self._went_off(order)
            return
        since = order.at - LOOK_BACK
        stale = self.stood_since is not None and (self.stood_until is None or self.stood_until > since)
        if self._foreign_at.get(order.symbol, since) > (min(since, self.stood_since) if stale and self.stood_since else since):
            return
        trigger = self._triggers.get(order.client_id, "")
        flattens, target = trigger.startswith(FLATTEN), self.rules.mandate.targets[order.symbol]
        # the legs of a hedge go down together, however far the venue cut one of them
        hedged = any(other * target < 0 for other in self.rules.mandate.targets.values())
        goals = [ZERO] if flattens else [target, ZERO] if hedged and self.was_cut else [target]
        if trigger.startswith(EMERGENCY):
            # a share of what is held, whose legs may have drifted apart, or all of it for one that nobody can read, or from which
            # alone a stop took
            goals = [target, ZERO if self._struck or self._is_alone(order) else target * LEAST_KEPT ** self._emergencies(order)]
        low, high = self.exchange.prices.between(order.symbol, since)
        navs = self.navs(since)
        if stale and self.stood_since is not None:
            navs.append(self.exchange.nav(self.exchange.seen(self.stood_since)))
        wanted = [goal * nav / price for goal in goals for nav in (min(navs), max(navs)) for price in (low, high)]
        wanted += [self._share(order)] if trigger.startswith(EMERGENCY) else []
        # a stop may have gone off once this order was on its way, or before it was sized
        held = self.exchange.held(order.symbol)
        both = held, held - self._struck_by(order.symbol, since)
        lot = self.exchange.markets[order.symbol].lot
        slack = lot + SLACK * max(abs(amount) for amount in (*wanted, *both))
        if order.side is Side.BUY and min(both) > max(wanted) + slack:
            self.violated("I4", f"{order.client_id} bought up to {held} of {order.symbol}, wanted was {max(wanted):.4f}")
        if order.side is Side.SELL and max(both) < min(wanted) - slack:
            self.violated("I4", f"{order.client_id} sold down to {held} of {order.symbol}, wanted was {min(wanted):.4f}")

    def _struck_by(self, symbol: str, since: datetime) -> Decimal:
        """What stops took since then (signed contracts)."""
        stops = [order for order in self.exchange.orders if order.trigger is not None and order.symbol == symbol]
        return sum((order.side.sign * trade.amount for order in stops for trade in order.trades if trade.at > since), ZERO)

    def _share(self, order: Order) -> Decimal:
        """What an emergency leaves of a position at the least (signed contracts): its share of what was held as planned."""
        since = self.planned_at(order) - LOOK_BACK
        marks = {symbol: self.exchange.prices.between(symbol, since) for symbol in self.rules.mandate.targets}
        seen = [self.exchange.seen(since), *(one for one in self.exchange.history if one.at >= since)]
        highest = max(self._leverage(one, picks) for one in seen for picks in _corners(marks))
        size, _ = seen[0].positions.get(order.symbol, (ZERO, ZERO))
        navs = [nav for at, nav in self._navs if at >= since] or [self.exchange.nav()]
        fallen = min(Decimal(1), min(navs) / max(navs)) if max(navs) > 0 else ZERO
        return size * min(Decimal(1), self.rules.emergency.to / highest) * max(ZERO, fallen) if highest else size

    def _emergencies(self, order: Order) -> int:
        """How many emergencies there were of late: each one leaves a share of what the one before left."""
        ((count,),) = self.disk.rows(_EMERGENCIES, (order.at - timedelta(days=1)).isoformat())
        return max(1, int(count))

    def _is_alone(self, order: Order) -> bool:
        """Whether another market of the fund gave no answer for so long, since its run began, that this one makes up for it."""
        rows = self.disk.rows(_BEGAN, order.client_id)
        began = min([order.at, *(datetime.fromisoformat(at) for (at,) in rows)])
        return any(
            until - since >= PATIENCE and until >= began
            for symbol in self.rules.mandate.targets
            if symbol != order.symbol
            for since, until in self.exchange.silences(symbol)
        )


def _corners(ranges: Mapping[str, tuple[Decimal, Decimal]]) -> list[dict[str, Decimal]]:
    """Every combination of the lowest and the highest price of each market."""
    found: list[dict[str, Decimal]] = [{}]
    for symbol, ends in ranges.items():
        found = [{**one, symbol: price} for one in found for price in set(ends)]
    return found


def is_ours(order: Order) -> bool:
    return order.client_id.startswith(CLIENT_ID_PREFIX)
