"""What happens to the account, the machine and the process of a simulated world, and when: as the seed has it."""

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from keeper.domain.run import CommandKind
from tests.simulation.faults import Happening
from tests.simulation.orders import Order
from tests.simulation.process import Process, seconds

if TYPE_CHECKING:
    from datetime import datetime

    from tests.simulation.world import World

DAY, FUNDING_EVERY = timedelta(days=1), timedelta(hours=8)
RATES = (Decimal("-0.0003"), Decimal("0.0001"), Decimal("0.0001"), Decimal("0.001"))
ACCOUNT = (Happening.MANUAL_TRADE, Happening.DEPOSIT, Happening.ADL, Happening.RESTING, Happening.STANDSTILL)
BY_HAND = (Happening.HALT, Happening.REBALANCE, Happening.FLATTEN, Happening.CANCEL_ALL, Happening.RESTORE)
LEAST_LEFT = Decimal("0.4")
"""Of NAV, after a crash."""
LOT, COIN = Decimal("0.001"), Decimal("0.0000001")


class Fate:
    """Has happen to one world what is in store for it."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def schedule(self, end: "datetime") -> None:
        """Set the time of each happening, most of them about a slot; funding is paid each eight hours."""
        world, rng = self._world, self._world.rng
        rates, at = Random(f"{world.scenario.seed} funding"), world.start
        while (at := at + FUNDING_EVERY) < end:
            world.loop.call_later((at - world.now()).total_seconds(), world.exchange.pay_funding, rates.choice(RATES))
        for kind, count in world.faults.happenings.items():
            for _ in range(count):
                day = world.start + rng.randrange(world.scenario.days) * DAY
                winter = str(world.rules.schedule.zone) != "UTC" and day > world.start
                at = day + timedelta(minutes=15) - timedelta(hours=1 if winter else 0)
                at += seconds(rng.uniform(-100.0, 500.0) if rng.random() < 0.8 else rng.uniform(0.0, 80_000.0))
                if kind is Happening.RESTORE:
                    backup = max(at - seconds(rng.choice((30.0, 300.0, 3600.0, 86_000.0))), world.start + timedelta(seconds=1))
                    world.loop.call_later((backup - world.now()).total_seconds(), world.disk.keep)
                if world.start < at < end:
                    world.loop.call_later((at - world.now()).total_seconds(), self.happens, kind)

    def happens(self, kind: Happening) -> None:
        """Have it happen now, unless the faults have ended."""
        if self._world.faults.ended:
            return
        if kind is Happening.CRASH:
            self._crashes()
        elif kind in ACCOUNT:
            self._to_account(kind)
        elif kind in BY_HAND:
            self._by_hand(kind)
        else:
            self._to_machine(kind, self._world.holders[0] if self._world.holders else None)

    def _crashes(self) -> None:
        """A price moves against the fund as far as leaves an emergency; no further than leaves it something."""
        world, rng = self._world, self._world.rng
        exchange, symbol = world.exchange, rng.choice(tuple(world.rules.mandate.targets))
        move = Decimal(rng.choice(("0.12", "0.15", "0.18"))) * (-1 if exchange.held(symbol) > 0 else 1)
        worth = exchange.held(symbol) * exchange.prices.mark(symbol)
        if exchange.is_spot(symbol) or exchange.nav() + worth * move < exchange.nav() * LEAST_LEFT:
            return
        self._jumps(symbol, 1 + move)
        world.trace.add("world", "crash", f"{symbol} by {move}")
        if rng.random() < 1 / 2:
            back = rng.choice((30.0, 1800.0, 20_000.0))
            world.loop.call_later(back, self._jumps, symbol, 1 / (1 + move))

    def _jumps(self, symbol: str, factor: Decimal) -> None:
        self._world.exchange.prices.jump(symbol, factor)
        self._world.exchange.strike()

    def _by_hand(self, kind: Happening) -> None:
        world = self._world
        if kind is Happening.RESTORE:
            if world.disk.backups:
                world.operator.puts_back(world.rng.choice(world.disk.backups))
            return
        if kind is Happening.CANCEL_ALL:
            world.operator.cancels_all()
        else:
            world.operator.command(CommandKind(str(kind)))
        if kind is not Happening.REBALANCE:
            world.loop.call_later(world.rng.choice((600.0, 40_000.0)), world.operator.command, CommandKind.RESUME)

    def _to_account(self, kind: Happening) -> None:
        world, rng = self._world, self._world.rng
        symbol = rng.choice(tuple(world.rules.mandate.targets))
        match kind:
            case Happening.MANUAL_TRADE:
                size = self._some(symbol)
                if world.exchange.affords(symbol, size, world.exchange.prices.mark(symbol)):
                    world.exchange.elsewhere(symbol, size, client_id=f"web_{rng.randrange(10**6)}")
            case Happening.DEPOSIT:
                self._pays(symbol, Decimal(rng.choice((-20_000, 5_000, 40_000))))
            case Happening.ADL:
                self.deleverages(symbol)
            case Happening.RESTING:
                self._rests(symbol)
            case _:
                world.account_stands()
                world.loop.call_later(rng.choice((120.0, 1800.0, 14_400.0)), world.account_moves)

    def _pays(self, symbol: str, amount: Decimal) -> None:
        """Somebody pays in or out: cash, or coins of as much worth."""
        exchange = self._world.exchange
        if exchange.is_spot(symbol) and self._world.rng.random() < 1 / 2:
            exchange.transfer(symbol, (amount / exchange.prices.mark(symbol)).quantize(COIN))
        elif (
            exchange.affords(symbol, Decimal(1), -min(amount, Decimal(0))) and -amount < exchange.nav() - exchange.exposure() / 20
        ):
            exchange.deposit(amount)  # no venue pays out what the positions bind

    def _some(self, symbol: str) -> Decimal:
        """What somebody trades by hand, signed contracts."""
        size = Decimal(self._world.rng.choice(("-0.3", "-0.05", "0.05", "0.3"))) * 60_000
        return (size / self._world.exchange.prices.mark(symbol)).quantize(LOT)

    def deleverages(self, symbol: str) -> None:
        """Have the venue close a part of a position, or all of it."""
        world = self._world
        if world.exchange.is_spot(symbol):
            return
        if cut := (world.exchange.held(symbol) * Decimal(world.rng.choice(("0.1", "0.5", "1")))).quantize(LOT):
            world.judge.was_cut = True
            world.exchange.elsewhere(symbol, -cut, client_id="adl_autoclose", forced=True)

    def _rests(self, symbol: str) -> None:
        """Somebody places an order that fills in part after a while, and whole, or never, after another."""
        world, rng = self._world, self._world.rng
        size = self._some(symbol)
        if not world.exchange.affords(symbol, size, world.exchange.prices.mark(symbol)):
            return
        order = world.exchange.rest(symbol, size, client_id=f"web_{rng.randrange(10**6)}")
        first = rng.choice((5.0, 120.0, 3000.0, 40_000.0))
        world.loop.call_later(first, self._fills, order, (order.amount * Decimal(rng.choice(("0.3", "0.6", "1")))).quantize(LOT))
        later = first + rng.choice((1.0, 120.0, 20_000.0, 80_000.0))
        if rng.random() < 2 / 3:
            world.loop.call_later(later, self._fills, order, order.amount)
        else:
            world.loop.call_later(later, world.exchange.withdraw, order)

    def _fills(self, order: Order, amount: Decimal) -> None:
        if self._world.faults.ended:
            self._world.exchange.withdraw(order)
        elif (part := min(amount, order.left)) > 0:
            self._world.exchange.meet(order, part)

    def _to_machine(self, kind: Happening, process: Process | None) -> None:
        world, rng = self._world, self._world.rng
        match kind:
            case Happening.MAINTENANCE:
                world.maintenance_until = world.now() + seconds(rng.choice((1, 1, 8)) * rng.uniform(5, 200))
                world.trace.add("world", "maintenance", f"until {world.maintenance_until:%H:%M:%S}")
            case Happening.CLOCK_STEP:
                world.set_clock(seconds(rng.choice((-1, 1)) * rng.choice((0.7, 3.0, 30.0, 3600.0))))
                world.loop.call_later(rng.choice((20.0, 300.0, 5000.0)), world.set_clock, timedelta(0))
            case Happening.PAUSE if process:
                process.pause(rng.choice((2.0, 8.0, 40.0, 900.0, 20_000.0)))
            case Happening.KILL if process:
                process.kill("by kill -9")
            case Happening.SIGNAL if process and process.daemon is not None:
                world.trace.add(process.name, "SIGTERM")
                process.daemon.stop("SIGTERM")
            case _:
                pass
