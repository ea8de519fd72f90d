"""What the operator configured: sections, sources, diagnostics.

Everything that reads a configuration goes through ``find`` and ``load``; a program that makes its own goes through
``assemble``. pydantic and pydantic-settings are imported in this package only.
"""

from keeper.settings.feeds import (
    AccountSettings,
    CcxtFeed,
    FixedFeed,
    MarketSettings,
    PositionSettings,
    RecordedFeed,
    RecordingSettings,
    SyntheticFeed,
)
from keeper.settings.loading import assemble, find, load
from keeper.settings.schema import Effective, Known, effective, known_keys, schema, schema_text
from keeper.settings.secrets import account_fingerprint, credentials_of, read_secret
from keeper.settings.sections import FundSettings, KeeperSettings, VenueSettings
from keeper.settings.sources import Settings

__all__ = [
    "AccountSettings",
    "CcxtFeed",
    "Effective",
    "FixedFeed",
    "FundSettings",
    "KeeperSettings",
    "Known",
    "MarketSettings",
    "PositionSettings",
    "RecordedFeed",
    "RecordingSettings",
    "Settings",
    "SyntheticFeed",
    "VenueSettings",
    "account_fingerprint",
    "assemble",
    "credentials_of",
    "effective",
    "find",
    "known_keys",
    "load",
    "read_secret",
    "schema",
    "schema_text",
]
