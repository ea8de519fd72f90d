"""`keeper kill`: nothing more is sent, and nothing of ours rests at the venue. It works whether a daemon lives or not."""

from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund, print_json
from keeper.cli.questions import agreed, must_have_terminal
from keeper.cli.screen import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keeper.domain.order import Child
    from keeper.ports import Journal
    from keeper.service.killing import Killed
    from keeper.settings.sources import Settings

ABORTED = 1


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("kill")(kill)


def kill(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; all of them when left out."),
    *,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask; required where there is no terminal."),
    as_json: bool = typer.Option(False, "--json", help="Print what came of it as one JSON document."),
    reason: str = typer.Option("", help="Why, for the record."),
) -> None:
    """Halt a fund and cancel every order of ours that rests on its account, asking again until none is left.

    Works with a daemon or without; positions stay as they are (`keeper flatten` closes them). Exit code 0 when nothing is
    left, 4 when an order may still rest, 69 when the venue can't be asked, 73 when the halt could not be recorded.
    """
    import asyncio

    from keeper.domain.errors import ConfigError

    options: Options = context.obj
    options.start_log()
    # to halt needs no key, and must not wait for one to be found
    settings = options.settings(keys=False)
    names = [one_fund(settings, fund)] if fund else sorted(settings.funds)
    must_have_terminal("kill", yes=yes)
    if not agreed(f"Halt {', '.join(names)} and cancel every order of ours?", yes=yes):
        raise typer.Exit(ABORTED)
    unrecorded = asyncio.run(_halt(settings, names, reason))
    try:
        settings = options.settings()
    except ConfigError:
        typer.echo("keeper: the venue can't be asked, so nothing was canceled:", err=True)
        raise
    killed = asyncio.run(_kill_all(settings, names, unrecorded))
    document = {"funds": [one.document() for one in killed]}
    if as_json:
        print_json(document)
    else:
        from keeper.cli.tables import kill_table

        kill_table(document, console())
    raise typer.Exit(max(one.exit_code for one in killed))


async def _halt(settings: "Settings", names: "Sequence[str]", reason: str) -> str:
    """Halt the funds. Why that is not in the journal, empty when it is."""
    from keeper.bootstrap import order
    from keeper.domain.errors import JournalError
    from keeper.domain.run import CommandKind

    try:
        await order(settings, names, CommandKind.HALT, f"killed: {reason}" if reason else "killed")
    except JournalError as error:
        typer.echo(f"keeper: the halt was NOT recorded, stop the daemon yourself: {error}", err=True)
        return str(error)
    for name in names:
        typer.echo(f"keeper: {name} is halted: nothing is sent until `keeper resume {name}`", err=True)
    return ""


async def _kill_all(settings: "Settings", names: "Sequence[str]", unrecorded: str) -> "Sequence[Killed]":
    import asyncio

    return await asyncio.gather(*(_kill(settings, name, unrecorded) for name in names))


async def _kill(settings: "Settings", name: str, unrecorded: str) -> "Killed":
    from contextlib import AsyncExitStack

    from keeper.bootstrap import open_account, open_journal
    from keeper.domain.errors import JournalError, StaleData, VenueError
    from keeper.service.killing import Killed, Stopped, cancel_all
    from keeper.system import SystemClock

    journal: Journal | None = None
    orders: tuple[Stopped, ...] = ()

    async def open_children() -> "Sequence[Child]":
        nonlocal unrecorded
        try:
            return await journal.open_children(name) if journal is not None else ()
        except JournalError as error:
            unrecorded = unrecorded or str(error)
            return ()

    async with AsyncExitStack() as stack:
        try:
            journal = await stack.enter_async_context(open_journal(settings, name))
        except JournalError as error:
            unrecorded = unrecorded or str(error)
        try:
            venue = await stack.enter_async_context(open_account(settings, name))
            orders, trouble = await cancel_all(venue, open_children)
        except (VenueError, StaleData) as error:
            trouble = str(error)
    configured = settings.funds[name].venue
    return Killed(
        fund=name,
        venue=configured,
        environment=str(settings.venues[configured].environment),
        orders=orders,
        at=SystemClock().now(),
        unrecorded=unrecorded,
        trouble=trouble,
    )
