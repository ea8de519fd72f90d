"""This machine's clock and randomness and its service manager, as the ports see them. Nothing else in Keeper asks for any.

No decision is made here: whoever waits, draws or tells says for how long and what.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

STEP = 1.0
"""Seconds slept at a stretch. The event loop's timer stands still while a laptop is suspended, so a long sleep would end
hours late; short ones ask the wall clock again."""


class SystemClock:
    """Wall-clock time of this machine; there is one such time, so all of them are equal."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    def now(self) -> datetime:
        """The current time, aware UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the adapter behind ports.Clock

    async def sleep_until(self, at: datetime) -> None:
        """Return once ``now()`` is ``at`` (aware) or later; other tasks get a turn even when that is so already.

        Where the clock is set back meanwhile, return once as much time has passed as was asked for: who wanted to wait a
        second must not wait an hour.
        """
        await asyncio.sleep(0)  # noqa: TID251 - the adapter behind ports.Clock
        loop = asyncio.get_running_loop()
        left = (at - self.now()).total_seconds()
        enough = loop.time() + left
        while left > 0:
            await asyncio.sleep(min(left, STEP))  # noqa: TID251 - the adapter behind ports.Clock
            left = (at - self.now()).total_seconds()
            if left > STEP:
                left = min(left, enough - loop.time())


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


class ServiceManager:
    """systemd, or whoever else speaks its protocol; nobody where the environment names no socket.

    env: of the process. A manager that does not listen is none of our troubles.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        wanted = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = env.get("WATCHDOG_USEC", "")
        self._watchdog = int(microseconds) if wanted and microseconds.isdecimal() else 0

    @property
    def interval(self) -> timedelta | None:
        """Half of the time after which it takes this process for dead; None where it does not watch."""
        return timedelta(microseconds=self._watchdog) / 2 if self._watchdog and self._address else None

    def ready(self) -> None:
        """The process does its work from here on."""
        self._tell("READY=1")

    def alive(self) -> None:
        """The process still does its work."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The process is about to end."""
        self._tell("STOPPING=1")

    def _tell(self, words: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as wire:
            wire.settimeout(0)
            wire.sendto(words.encode(), self._address)
