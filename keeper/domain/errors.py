"""Every error that Keeper raises on purpose. A refusal by policy or gate is a value, not an exception.

The tree:

    KeeperError
    |- ConfigError
    |- VenueError
    |  |- VenueRefused
    |  |  `- UnfitAccount
    |  |- VenueUnavailable
    |  `- OutcomeUnknown
    |- StaleData
    |- JournalError
    |- AccountBusy
    |- BookRefused
    `- InvariantViolation
"""

from dataclasses import dataclass


class KeeperError(Exception):
    """The base of the tree; ``exit_code`` is what the command line ends with."""

    exit_code = 70


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration.

    source: the file or environment variable; key: dotted path; value: what stands there (never a secret);
    remedy: what to write instead.
    """

    source: str
    key: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.source}: {self.key} = {self.value}: {self.remedy}"


class ConfigError(KeeperError):
    """The operator's configuration can't be used: one Problem for each fault found."""

    exit_code = 78

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class VenueError(KeeperError):
    """Something between us and the venue."""

    exit_code = 69


class VenueRefused(VenueError):
    """The venue proved that it did not accept: bad key, unknown symbol, order rejected with a known code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class UnfitAccount(VenueRefused):
    """An account of a kind on which nothing can be sized. It can be looked at; orders can be taken back, positions reduced."""


class VenueUnavailable(VenueError):
    """A read failed, or a request was refused before it was sent. May be tried again, with backoff and a cap."""


class OutcomeUnknown(VenueError):
    """A write may have landed. Never send again; settle it by client order id."""

    exit_code = 4


class StaleData(KeeperError):
    """A price, book, balance or clock is missing, not finite, older or further off than allowed."""

    exit_code = 69


class JournalError(KeeperError):
    """The journal can't be read or written, so nothing may be sent."""

    exit_code = 73


class AccountBusy(KeeperError):
    """Another process holds the account; the message names it."""

    exit_code = 75


class BookRefused(KeeperError):
    """A fund's books can't take what was asked; nothing is booked. code: a word for why."""

    exit_code = 3

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvariantViolation(KeeperError):
    """Something that must never be is. Halt the fund and keep the evidence."""

    exit_code = 70
