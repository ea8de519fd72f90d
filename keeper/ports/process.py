"""What a process needs of the machine that it runs on: time, wake-ups, randomness, and whoever watches over it."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time. Everything that waits waits here."""

    def now(self) -> datetime:
        """The current time, aware UTC."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Return once ``now()`` is ``at`` or later."""
        ...


class Bell(Protocol):
    """Wakes one fund's loop: at a time, every now and then, or when somebody rings. Whoever is woken asks the ledger."""

    def ring_at(self, at: datetime) -> None:
        """Ring at ``at`` (aware), instead of at the time named before."""
        ...

    def ring(self) -> None:
        """Ring now."""
        ...

    async def wait(self) -> None:
        """Return at the next ring; at once when it rang since the last wait."""
        ...


class Supervisor(Protocol):
    """Whoever started this process and watches over it."""

    @property
    def interval(self) -> timedelta | None:
        """How often it wants to hear that the process is alive; None: not at all."""
        ...

    def ready(self) -> None:
        """The process does its work from here on."""
        ...

    def alive(self) -> None:
        """The process still does its work."""
        ...

    def stopping(self) -> None:
        """The process is about to end."""
        ...


class Entropy(Protocol):
    """Randomness."""

    def token(self) -> str:
        """Eight lower-case hexadecimal digits that have not been handed out before."""
        ...
