"""Whether Keeper can work with an exchange as it is configured, as far as that is told without asking it.

The one place for that rule: who connects, and who only checks a configuration, are refused in the same words.
"""

from collections.abc import Mapping

from keeper.domain.errors import ConfigError, Problem, VenueRefused
from keeper.ports import Environment
from keeper.venues.dialects import DIALECTS, Dialect, dialect_of


def admissible(venue: str, exchange: str, environment: Environment, *, streamed: bool) -> Dialect:
    """The row of ``exchange``; streamed: whether its streams are to be followed.

    ConfigError when Keeper can't trade there, not in ``environment``, or follows no streams there.
    """
    row = dialect_of(venue, exchange, environment)
    if streamed and environment not in row.streams.hosts:
        known = ", ".join(name for name, other in DIALECTS.items() if environment in other.streams.hosts)
        remedy = f'Keeper follows no streams of {exchange} in {environment}, only those of {known}: write "rest"'
        raise ConfigError(Problem(f"venue {venue}", f"venues.{venue}.market_data", "stream", remedy))
    return row


def must_be_whole(venue: str, row: Dialect, credentials: Mapping[str, str]) -> None:
    """ConfigError for each part of ``credentials`` (by the configuration's names) that the exchange asks for and that lacks."""
    remedy = "write the file that holds it, or set it in the environment"
    missing = [part for part in row.credentials if not credentials.get(part)]
    if missing:
        raise ConfigError(*(Problem(f"venue {venue}", _key(venue, part), "empty", remedy) for part in missing))


def must_have_form(venue: str, row: Dialect, credentials: Mapping[str, str]) -> None:
    """ConfigError for credentials that are none of those that the exchange gives out. Connecting refuses them as well."""
    try:
        row.speech.check_keys(credentials)
    except VenueRefused as error:
        raise ConfigError(Problem(f"venue {venue}", _key(venue, error.code), "(hidden)", error.message)) from None


def _key(venue: str, part: str) -> str:
    return f"venues.{venue}.credentials.{part}"
