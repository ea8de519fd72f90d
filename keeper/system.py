"""This machine's clock and randomness, as the ports see them. Nothing else in Keeper asks the machine for either.

No decision is made here: whoever waits or draws says for how long and what for.
"""

import asyncio
import secrets
from datetime import UTC, datetime

STEP = 1.0
"""Seconds slept at a stretch. The event loop's timer stands still while a laptop is suspended, so a long sleep would end
hours late; short ones ask the wall clock again."""


class SystemClock:
    """Wall-clock time of this machine."""

    def now(self) -> datetime:
        """The current time, aware UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the adapter behind ports.Clock

    async def sleep_until(self, at: datetime) -> None:
        """Return once ``now()`` is ``at`` (aware) or later; other tasks get a turn even when that is so already."""
        await asyncio.sleep(0)  # noqa: TID251 - the adapter behind ports.Clock
        left = (at - self.now()).total_seconds()
        while left > 0:
            await asyncio.sleep(min(left, STEP))  # noqa: TID251 - the adapter behind ports.Clock
            left = (at - self.now()).total_seconds()


class SystemEntropy:
    """Randomness of the operating system."""

    def __init__(self) -> None:
        self._spent: set[str] = set()

    def token(self) -> str:
        """Eight lower-case hexadecimal digits that this object has not handed out before."""
        token = secrets.token_hex(4)
        while token in self._spent:
            token = secrets.token_hex(4)
        self._spent.add(token)
        return token
