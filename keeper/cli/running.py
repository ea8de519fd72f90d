"""Commands about the daemon: run, halt, resume."""

from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund
from keeper.cli.questions import agreed, must_have_terminal
from keeper.cli.screen import console
from keeper.cli.stopping import by_hand

if TYPE_CHECKING:
    from keeper.settings.sources import Settings

ABORTED = 1


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("run")(run)
    app.command("halt")(halt)
    app.command("resume")(resume)


def run(
    context: typer.Context,
    fund: list[str] = typer.Option([], help="Only this fund; may be given more than once. Default: all that act by themselves."),
) -> None:
    """Keep funds by their schedule until SIGTERM or Ctrl-C. `rebalance`, `halt`, `resume` and `status` work beside it."""
    import asyncio

    options: Options = context.obj
    options.start_log(default="info")
    settings = options.settings()
    names = sorted({one_fund(settings, name) for name in fund})
    names = names or sorted(name for name, found in settings.funds.items() if found.acts_by_itself)
    if not names:
        raise typer.BadParameter('no fund acts by itself: give one a schedule, such as schedule = { at = "00:15" }, or intraday')
    try:
        asyncio.run(_run(settings, names))
    except asyncio.CancelledError:
        typer.echo("keeper: stopped at once; `keeper status` tells what is open, the next start settles it", err=True)


async def _run(settings: "Settings", names: list[str]) -> None:
    import os

    from keeper.bootstrap import open_daemon
    from keeper.cli.stopping import stopping_on_signals

    async with open_daemon(settings, names, os.environ) as daemon:
        with stopping_on_signals(daemon.stop):
            await daemon.run()


def halt(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; all of them when left out."),
    reason: str = typer.Option("", help="Why, for the record."),
) -> None:
    """Let nothing more be sent for a fund, at once and until `keeper resume`, whether a process trades it or not.

    Beside a running daemon the order in flight gets its outcome, and no other is sent. Positions stay as they are.
    """
    import asyncio

    from keeper.bootstrap import order
    from keeper.domain.errors import JournalError
    from keeper.domain.run import CommandKind

    options: Options = context.obj
    options.start_log()
    settings = options.settings_to_halt()
    names = [one_fund(settings, fund)] if fund else sorted(settings.funds)
    try:
        doubt = asyncio.run(order(settings, names, CommandKind.HALT, reason))
    except JournalError:
        typer.echo(f"keeper: nothing was halted; {by_hand(settings)}", err=True)
        raise
    if doubt:
        typer.echo(f"keeper: the halt is recorded, in a journal that is doubtful: {doubt}", err=True)
    for name in names:
        console().print(f"{name} is halted: nothing is sent until `keeper resume {name}`.", soft_wrap=True)


def resume(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    reason: str = typer.Option("", help="Why, for the record."),
    *,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask; required where there is no terminal."),
) -> None:
    """Let a fund that is halted, or bound to reductions, trade again. A slot whose window is still open is then run."""
    import asyncio

    from keeper.bootstrap import order
    from keeper.cli.render import stands
    from keeper.domain.run import CommandKind
    from keeper.records import is_accepted, standing_of
    from keeper.service.documents import standing_document
    from keeper.service.standings import halts_again

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    name = one_fund(settings, fund)
    must_have_terminal("resume", yes=yes)
    found = asyncio.run(standing_of(settings, name))
    standing, again = standing_document(found), halts_again(found, is_accepted=asyncio.run(is_accepted(settings, found)))
    if standing["state"] != "active":
        typer.echo(f"{name} is {stands(standing)}: {standing['meaning']}.", err=True)
    if again:
        typer.echo(f"keeper: {again}", err=True)
    if not agreed(f"Let {name} trade again?", yes=yes):
        raise typer.Exit(ABORTED)
    asyncio.run(order(settings, [name], CommandKind.RESUME, reason))
    console().print(f"{name} may trade again{f', but {again}' if again else ''}.", soft_wrap=True)
