"""`keeper kill`: nothing more is sent, and nothing of ours rests at the venue. It works whether a daemon lives or not."""

from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund, print_json
from keeper.cli.questions import agreed, must_have_terminal
from keeper.cli.screen import console
from keeper.cli.stopping import by_hand

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
    left, 4 when an order may still rest, 69 when the venue can't be asked, 73 when the halt could not be recorded, 78 when the
    configuration does not say how to ask the venue.
    """
    import asyncio

    options: Options = context.obj
    options.start_log()
    settings = options.settings_to_halt()
    names = [one_fund(settings, fund)] if fund else sorted(settings.funds)
    must_have_terminal("kill", yes=yes)
    if not agreed(f"Halt {', '.join(names)} and cancel every order of ours?", yes=yes):
        raise typer.Exit(ABORTED)
    unrecorded = asyncio.run(_halt(settings, names, reason))
    killed = asyncio.run(_kill_all(settings, names, unrecorded))
    document = {"funds": [one.document() for one, _ in killed]}
    if as_json:
        print_json(document)
    else:
        from keeper.cli.tables import kill_table

        kill_table(document, console())
    raise typer.Exit(max(code for _, code in killed))


async def _halt(settings: "Settings", names: "Sequence[str]", reason: str) -> str:
    """Halt the funds. Why that is not in the journal, empty when it is."""
    from keeper.bootstrap import order
    from keeper.domain.run import CommandKind

    try:
        doubt = await order(settings, names, CommandKind.HALT, f"killed: {reason}" if reason else "killed")
    except Exception as error:  # noqa: BLE001 - whatever it is, orders that rest are canceled next
        why = str(error) or repr(error)
        typer.echo(f"keeper: the halt was NOT recorded: {why}", err=True)
        typer.echo(f"keeper: {by_hand(settings)}", err=True)
        return why
    if doubt:
        typer.echo(f"keeper: the halt is recorded, in a journal that is doubtful: {doubt}", err=True)
    for name in names:
        typer.echo(f"keeper: {name} is halted: nothing is sent until `keeper resume {name}`", err=True)
    return ""


async def _kill_all(settings: "Settings", names: "Sequence[str]", unrecorded: str) -> "Sequence[tuple[Killed, int]]":
    import asyncio

    return await asyncio.gather(*(_kill(settings, name, unrecorded) for name in names))


def _is_held(settings: "Settings", account: str) -> bool:
    """Whether another process may still send something that passed the gate before the halt; where that can't be told, yes."""
    from keeper.domain.errors import JournalError
    from keeper.journal import directory_of, is_held

    try:
        return is_held(directory_of(settings.journal_url), account)
    except JournalError:
        return True


async def _kill(settings: "Settings", name: str, unrecorded: str) -> "tuple[Killed, int]":
    """What killing one fund came to, and the exit code that tells of it."""
    from contextlib import AsyncExitStack

    from keeper.bootstrap import open_account, open_journal
    from keeper.domain.errors import ConfigError, JournalError, StaleData, VenueError
    from keeper.service.killing import Killed, Stopped, cancel_all
    from keeper.system import SystemClock

    journal: Journal | None = None
    orders: tuple[Stopped, ...] = ()
    trouble, misconfigured = "", 0

    async def open_children() -> "Sequence[Child]":
        nonlocal unrecorded
        try:
            return await journal.open_children(name) if journal is not None else ()
        except JournalError as error:
            unrecorded = unrecorded or str(error)
            return ()

    configured = settings.funds[name].venue
    async with AsyncExitStack() as stack:
        try:
            venue = await stack.enter_async_context(open_account(settings, name))
            try:
                journal = await stack.enter_async_context(open_journal(settings, name, damaged=True))
            except JournalError as error:
                unrecorded = unrecorded or str(error)
            orders, trouble = await cancel_all(venue, open_children, is_held=_is_held(settings, venue.info.account))
        except (VenueError, StaleData) as error:
            trouble = str(error)
        except ConfigError as error:
            typer.echo(f"keeper: the venue of {name} can't be asked, so nothing was canceled: {error}", err=True)
            trouble, misconfigured = str(error), error.exit_code
        except Exception as error:  # noqa: BLE001 - the orders of other funds are canceled all the same
            trouble = str(error) or repr(error)
    venue_settings = settings.venues.get(configured)
    killed = Killed(
        fund=name,
        venue=configured,
        environment=str(venue_settings.environment) if venue_settings else "",
        orders=orders,
        at=SystemClock().now(),
        unrecorded=unrecorded,
        trouble=trouble,
    )
    return killed, max(killed.exit_code, misconfigured)
