"""What it takes to keep one fund: whose it is, how it is reached, and what it is kept by. Values, and no decision."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from keeper.policy.breakers import Breakers
from keeper.ports import Bell, Clock, Journal
from keeper.service.rebalancer import Rebalancer
from keeper.service.slots import SlotOwner


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What it takes to keep one fund.

    seed: of its jitter, for its first start; clock: what its slots are measured by; open: connects to the venue and yields
    what makes a fresh Rebalancer; it raises VenueError or StaleData while that can't be done, ConfigError when it never can;
    warm: has that connection ready for many reads at once, VenueError when it is not fit to trade by;
    breakers: what takes its right to trade; rules: fingerprint of the configuration that it is kept by.
    """

    owner: SlotOwner
    seed: str
    journal: Journal
    clock: Clock
    bell: Bell
    open: Callable[[], AbstractAsyncContextManager[Callable[[], Rebalancer]]]
    warm: Callable[[], Awaitable[None]]
    breakers: Breakers = field(default_factory=Breakers)
    rules: str = ""
