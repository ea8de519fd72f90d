"""The settings as a whole, and the one source that pydantic-settings takes them from.

Its own sources are not used: they ignore variables that reach no key and make a second fund out of another spelling.
Reading and judging is done by ``loading``.
"""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import Field, PrivateAttr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from keeper.domain.errors import ConfigError, Problem
from keeper.settings.addresses import anchored_url
from keeper.settings.document import Table
from keeper.settings.keys import Path
from keeper.settings.sections import FundSettings, KeeperSettings, VenueSettings
from keeper.settings.values import Name

UNWRITTEN = "default"
"""The source of a value that stands nowhere."""


class TableSource(PydanticBaseSettingsSource):
    """A file under an environment, merged into one table."""

    def __init__(self, settings: type[BaseSettings], table: Table) -> None:
        super().__init__(settings)
        self._table = table

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        """The value of one section."""
        del field  # the base class hands it over; the name is enough
        return self._table.get(field_name), field_name, True

    def __call__(self) -> dict[str, Any]:
        """Every section, known or not: unknown ones are errors."""
        return dict(self._table)


class Settings(BaseSettings):
    """Everything that the operator configured. Comes from ``load`` or ``assemble``, which check what no section can alone."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    keeper: KeeperSettings = Field(default=KeeperSettings(), description="the whole process")
    venues: Mapping[Name, VenueSettings] = Field(default={}, description="exchange accounts by name")
    funds: Mapping[Name, FundSettings] = Field(default={}, description="mandates by name")
    _sources: dict[Path, str] = PrivateAttr(default_factory=dict)
    _directory: pathlib.Path = PrivateAttr(default_factory=pathlib.Path.cwd)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The one table that the constructor was given, in place of pydantic's own sources."""
        del env_settings, dotenv_settings, file_secret_settings
        return (TableSource(settings_cls, init_settings().get("table", {})),)

    @classmethod
    def of(cls, table: Table, sources: Iterable[tuple[Path, str]], directory: pathlib.Path) -> Self:
        """The settings that ``table`` holds, with where each path of it came from. Raises pydantic's ValidationError.

        directory: where relative paths start, the configuration file's.
        """
        given: dict[str, Any] = {"table": table}  # no field: the source takes it
        settings = cls(**given)
        settings._sources.update(sources)
        settings._directory = directory
        return settings

    @property
    def journal_url(self) -> str:
        """The journal's URL, absolute: were its file to start where a command happens to run, a fund could have two."""
        return anchored_url(self.keeper.journal, self._directory)

    def anchored(self, name: str) -> pathlib.Path:
        """A file that the configuration names, absolute: a relative name starts at the configuration's directory."""
        return self._directory / pathlib.Path(name).expanduser()

    def rules_of(self, fund: str) -> str:
        """A fingerprint of what fund and venue are configured to; secrets are not in it, only where they are."""
        found = self.funds[fund]
        text = f"{found.model_dump_json()} {self.venues[found.venue].model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def venue(self, name: str) -> VenueSettings:
        """The venue of a fund. ConfigError where it is not among these settings, as only a faulty configuration leaves it."""
        if name not in self.venues:
            raise ConfigError(Problem(self.origin, f"venues.{name}", "(can't be read)", "correct it: see `keeper config check`"))
        return self.venues[name]

    @property
    def origin(self) -> str:
        """The directory of the configuration, for a message about what stands nowhere in it."""
        return str(self._directory)

    def source(self, path: Path) -> str:
        """Where the value at ``path`` came from: "default", "FILE:LINE" or a variable's name."""
        return self._sources.get(path, UNWRITTEN)
