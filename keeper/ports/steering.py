"""What the service needs of whoever names targets: one document at a time, read when it is wanted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A document that was told. document: as it was parsed, fractions as Decimals; at: aware UTC, when it was written."""

    document: object
    at: datetime


@dataclass(frozen=True, slots=True)
class Untold:
    """Nothing was told. why: in words, with what to do."""

    why: str


class TargetSource(Protocol):
    """Names targets."""

    @property
    def name(self) -> str:
        """What it is, for a message: the file or the command."""
        ...

    async def read(self) -> Told | Untold:
        """What it says now, read once and whole."""
        ...
