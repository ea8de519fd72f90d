"""Commands that look at a fund and act on it: plan, rebalance."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund, print_json
from keeper.cli.screen import console

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from keeper.bootstrap import Desk
    from keeper.domain.errors import AccountBusy
    from keeper.domain.run import Run
    from keeper.planning.plan import Plan
    from keeper.settings.sources import Settings

ABORTED = 1
WOULD_TRADE = 2
REFUSED = 3
INCOMPLETE = 4
USAGE = 64


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("plan")(plan)
    app.command("rebalance")(rebalance)


def plan(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print the plan as one JSON document."),
) -> None:
    """Show what a rebalance would do now. Sends nothing. Exit code 2 when it would trade, 3 when it would be refused."""
    import asyncio

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    made = asyncio.run(_plan(settings, one_fund(settings, fund)))
    if as_json:
        print_json(made.document())
    else:
        from keeper.cli.render import plan_table

        plan_table(made.document(), console())
    raise typer.Exit(REFUSED if made.refusals else WOULD_TRADE if made.legs else 0)


async def _plan(settings: "Settings", fund: str) -> "Plan":
    from keeper.bootstrap import open_desk

    async with open_desk(settings, fund, acting=False) as desk:
        return await desk.rebalancer.plan()


def rebalance(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask; required where there is no terminal."),
    as_json: bool = typer.Option(False, "--json", help="Print the finished run as one JSON document."),
    reason: str = typer.Option("", help="Why, for the record."),
) -> None:
    """Bring a fund to its target now, after showing the plan and asking."""
    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    raise typer.Exit(run_now(settings, one_fund(settings, fund), yes=yes, as_json=as_json, reason=reason))


def run_now(settings: "Settings", fund: str, *, yes: bool, as_json: bool, reason: str, html: "Path | None" = None) -> int:
    """Plan, ask, run, report: the function behind ``rebalance`` and ``demo``. Returns the exit code."""
    import asyncio
    import sys

    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on: add --yes to rebalance without being asked")
    try:
        return asyncio.run(_run_now(settings, fund, yes=yes, as_json=as_json, reason=reason, html=html))
    except asyncio.CancelledError:
        typer.echo("keeper: stopped at once; `keeper status` tells what is open, the next rebalance settles it", err=True)
        return INCOMPLETE


async def _run_now(settings: "Settings", fund: str, *, yes: bool, as_json: bool, reason: str, html: "Path | None") -> int:
    from keeper.bootstrap import open_desk
    from keeper.cli.progress import LiveProgress
    from keeper.cli.stopping import stopping_on_signals
    from keeper.domain.errors import AccountBusy

    screen = console(stderr=as_json)
    try:
        async with open_desk(settings, fund, acting=True) as desk:
            await desk.rebalancer.recover()
            made = await _approved(desk, screen, yes=yes)
            if made is None:
                return ABORTED
            with stopping_on_signals(desk.rebalancer.stop):
                run = await desk.rebalancer.execute(made, await desk.command(reason), LiveProgress(screen), reason)
            return await _report(desk, run, screen, as_json=as_json, html=html)
    except AccountBusy as error:
        busy = error
    return await _ask_holder(settings, fund, busy, yes=yes, as_json=as_json, reason=reason)


async def _ask_holder(settings: "Settings", fund: str, busy: "AccountBusy", *, yes: bool, as_json: bool, reason: str) -> int:
    """Have the daemon that holds the account do it. AccountBusy when the holder is none that takes commands."""
    from keeper.bootstrap import open_desk
    from keeper.cli.asking import followed

    screen = console(stderr=as_json)
    async with open_desk(settings, fund, acting=False) as desk:
        if await _approved(desk, screen, yes=yes) is None:
            return ABORTED
        command = await followed(settings, desk, await desk.ask(reason), busy, screen)
        run = await desk.journal.run(f"{fund}-{command.id}")
        if run is not None and run.status.ended:
            return await _report(desk, run, screen, as_json=as_json, html=None)
        typer.echo(f"keeper: {command.answer}", err=True)
        return command.exit_code or INCOMPLETE


async def _report(desk: "Desk", run: "Run", screen: "Console", *, as_json: bool, html: "Path | None") -> int:
    """Show a run that has ended; its exit code is returned."""
    from keeper.cli.reading import write_page
    from keeper.cli.render import run_summary
    from keeper.service.documents import run_document
    from keeper.service.report_page import report_page

    children, fills = await desk.journal.children(run.id), await desk.journal.fills(run.id)
    document = run_document(run, children, fills)
    if as_json:
        print_json(document)
    else:
        run_summary(document, screen, plan=run.plan)
    if html is not None:
        write_page(html, report_page(document, run.plan, children, fills))
    return _exit_code(run)


async def _approved(desk: "Desk", screen: "Console", *, yes: bool) -> "Plan | None":
    """The plan that the operator said yes to, made anew when it expired while they were thinking; None after a no."""
    from keeper.cli.render import plan_table

    while True:
        made = await desk.rebalancer.plan()
        plan_table(made.document(), screen)
        if yes or made.refusals or not made.legs:
            return made
        with _interruptible():
            if not typer.confirm("Send these orders?", err=True):
                return None
        if desk.venue.clock.now() < made.expires_at:
            return made
        screen.print("That plan has expired; here is a fresh one.")


@contextmanager
def _interruptible() -> "Iterator[None]":
    """Let Ctrl-C end a question: the event loop's own handler would only take note of it until the answer came."""
    import signal

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _exit_code(run: "Run") -> int:
    from keeper.domain.run import RunStatus

    return {RunStatus.REFUSED: REFUSED, RunStatus.INCOMPLETE: INCOMPLETE}.get(run.status, 0)
