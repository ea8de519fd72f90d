"""The command for targets that are too far from the last ones to be used before a human said so: approve."""

from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund
from keeper.cli.questions import agreed, must_have_terminal
from keeper.cli.screen import console

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

ABORTED = 1


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("approve")(approve)


def approve(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask; required where there is no terminal."),
) -> None:
    """Let the next run use targets of a file or a command that are far from the last ones: these very targets, for a while."""
    import asyncio

    from keeper.bootstrap import approve as record
    from keeper.records import pending_of
    from keeper.service import figures

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    name = one_fund(settings, fund)
    must_have_terminal("approve", yes=yes)
    waiting = asyncio.run(pending_of(settings, name))
    if waiting is None:
        console().print(f"Nothing waits: {name} goes by the targets that were used last.", soft_wrap=True)
        return
    typer.echo(f"{waiting.source} wants {_told(waiting.targets)}; in force is {_told(waiting.before)}.", err=True)
    if not agreed(f"Let {name} use these targets?", yes=yes):
        raise typer.Exit(ABORTED)
    until = asyncio.run(record(settings, name, waiting))
    console().print(f"The next run of {name} may use them, until {figures.moment(until.isoformat())}.", soft_wrap=True)


def _told(targets: "Mapping[str, Decimal]") -> str:
    from keeper.domain.numbers import plain

    return ", ".join(f"{symbol} at {plain(target)}x" for symbol, target in targets.items())
