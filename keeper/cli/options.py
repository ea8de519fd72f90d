"""What stands before the command, and what every command does with it: load the configuration, set up the log, print."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from keeper.settings.sources import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """The global options, empty where they were not given."""

    config: str = ""
    log_level: str = ""

    def settings(self, *, keys: bool = True) -> "Settings":
        """The configuration. ConfigError names everything that is wrong with it.

        keys: whether the exchange's keys are looked at too, which a command that only reads the journal need not have.
        """
        import os

        from keeper.settings.loading import load

        return load(self._file(), os.environ, keys=keys)

    def settings_to_halt(self) -> "Settings":
        """The configuration as far as who halts or kills needs it; what is wrong with the rest is said on stderr.

        ConfigError, which says that nothing was halted, where it can't be told which funds there are or where the journal is.
        """
        import os

        from keeper.cli.stopping import by_hand
        from keeper.domain.errors import ConfigError
        from keeper.settings.salvage import load_to_halt

        try:
            settings, fault = load_to_halt(self._file(), os.environ)
        except ConfigError:
            typer.echo(f"keeper: nothing was halted; {by_hand(None)}", err=True)
            raise
        if fault is not None:
            typer.echo("keeper: the configuration is faulty; this goes on with what of it can be read:", err=True)
            for line in str(fault).splitlines():
                typer.echo(f"keeper: {line}", err=True)
        return settings

    def _file(self) -> "Path":
        import os
        from pathlib import Path

        from keeper.settings.loading import find

        return find(Path(self.config) if self.config else None, env=os.environ, cwd=Path.cwd(), home=Path.home())

    def start_log(self, *, default: str = "") -> None:
        """Send the log to stderr: readable on a terminal, JSON elsewhere. default: level where --log-level is not given."""
        from keeper.cli.log import start

        start(self.log_level or default)


def one_fund(settings: "Settings", name: str) -> str:
    """The fund that ``name`` means: itself, or the only one there is when ``name`` is empty. A usage error otherwise."""
    funds = sorted(settings.funds)
    if name in funds:
        return name
    if not funds:
        from keeper.domain.errors import ConfigError, Problem

        raise ConfigError(Problem(settings.origin, "funds", "(none)", "name a fund: [funds.NAME] with venue and target"))
    known = ", ".join(funds)
    if name:
        raise typer.BadParameter(f"there is no fund {name!r}; configured are: {known}")
    if len(funds) == 1:
        return funds[0]
    raise typer.BadParameter(f"name one of the funds: {known}")


def print_json(document: Mapping[str, object] | list[object]) -> None:
    """One JSON document and nothing else on stdout."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
