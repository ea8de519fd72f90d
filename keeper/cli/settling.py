"""Commands for what no rule can settle: resolve one child, reconcile the journal with the venue."""

from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund, print_json
from keeper.cli.questions import agreed, must_have_terminal
from keeper.cli.screen import console

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from keeper.bootstrap import Desk
    from keeper.domain.order import Child
    from keeper.service.comparison import Reconciliation
    from keeper.service.documents import Document
    from keeper.service.resolution import Contradiction, Evidence, Settlement
    from keeper.settings.sources import Settings

ABORTED, REFUSED, DIFFERS = 1, 3, 70
SETTLED_BY_ITSELF = "the venue has told what became of it"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("resolve")(resolve)
    app.command("reconcile")(reconcile)


def resolve(
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    client_id: str = typer.Argument(help="Client order id of the child, as `keeper status` shows it."),
    *,
    not_placed: bool = typer.Option(False, "--not-placed", help="It never reached the venue."),
    order: str = typer.Option("", "--order", help="It is this order: the venue's own id of it."),
    reason: str = typer.Option(..., "--reason", help="How you know, for the record."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask; required where there is no terminal."),
    as_json: bool = typer.Option(False, "--json", help="Print what was booked as one JSON document."),
) -> None:
    """Say what became of an order whose outcome the venue does not tell, after seeing all that it does tell.

    Refused (exit code 3) where venue or journal prove otherwise, with 75 while another process holds the account.
    """
    import asyncio

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    name = one_fund(settings, fund)
    if not_placed == bool(order):
        raise typer.BadParameter("say what became of it: either --not-placed or --order ORDER_ID")
    must_have_terminal("resolve", yes=yes)
    document, code = asyncio.run(_resolve(settings, name, client_id, (order, reason), yes=yes, quiet=as_json))
    if as_json:
        print_json(document)
    raise typer.Exit(code)


async def _resolve(
    settings: "Settings", fund: str, client_id: str, said: tuple[str, str], *, yes: bool, quiet: bool
) -> "tuple[Document, int]":
    from keeper.bootstrap import open_desk
    from keeper.cli.tables import evidence_table
    from keeper.service.resolution import Contradiction, contradicted, gather, record

    screen = console(stderr=quiet)
    async with open_desk(settings, fund, acting=True) as desk:
        child = await _open_child(desk, client_id)
        document: Document = {"fund": fund, "client_id": client_id, "run": child.run, "reason": said[1]}
        # what the venue does tell needs no human
        await desk.rebalancer.recover()
        now = next((one for one in await desk.journal.children(child.run) if one.request.client_id == client_id), child)
        if now.state.terminal:
            screen.print(f"Nothing to resolve: {SETTLED_BY_ITSELF}, it is {now.state}.", soft_wrap=True)
            told = document | _outcome(now, by="venue")
            if why := contradicted(now, said[0]):
                typer.echo(f"keeper: refused: {why}", err=True)
                return told | {"refused": why}, REFUSED
            return told, 0
        evidence = await gather(desk.venue, desk.journal, fund, now)
        evidence_table(evidence.document(), screen)
        settlement = await _settlement(desk, evidence, said[0])
        if isinstance(settlement, Contradiction):
            typer.echo(f"keeper: refused: {settlement.why}", err=True)
            return document | _outcome(now, by="nobody") | {"refused": settlement.why}, REFUSED
        if not agreed(f"Book {client_id} as {settlement.state.value}?", yes=yes):
            return document | _outcome(now, by="nobody"), ABORTED
        await record(desk.venue, desk.journal, fund, evidence, settlement, said[1])
        await desk.rebalancer.amend({child.run})
        [booked] = [one for one in await desk.journal.children(child.run) if one.request.client_id == client_id]
        screen.print(f"{client_id} is booked as {booked.state}.", soft_wrap=True)
        return document | _outcome(booked, by="human"), 0


def _outcome(child: "Child", *, by: str) -> "Document":
    from keeper.domain.numbers import plain

    filled = plain(child.filled)
    return {"state": child.state.value, "filled": filled, "order_id": child.order_id, "settled_by": by, "refused": None}


async def _open_child(desk: "Desk", client_id: str) -> "Child":
    for child in await desk.journal.open_children(desk.fund):
        if child.request.client_id == client_id:
            return child
    for run in await desk.journal.runs(fund=desk.fund, limit=1000):
        for child in await desk.journal.children(run.id):
            if child.request.client_id == client_id:
                raise typer.BadParameter(f"{client_id} is {child.state} already: nothing is left to resolve")
    raise typer.BadParameter(f"{desk.fund} has no order {client_id}; `keeper status` names those of unknown outcome")


async def _settlement(desk: "Desk", evidence: "Evidence", order_id: str) -> "Settlement | Contradiction":
    from keeper.service.resolution import never_placed, was_order

    if not order_id:
        return never_placed(evidence)
    fills = () if evidence.elsewhere else await desk.venue.fills(evidence.child.request.symbol, order_id)
    return was_order(evidence, order_id, fills)


def reconcile(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    since: str = typer.Option("24h", "--since", help='How far back at least: a duration such as "6h", or a time with its zone.'),
    accept: bool = typer.Option(
        False, "--accept", help="Take note of orders that the journal lacks, and of position and contracts as they are."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask before accepting; required where there is no terminal."),
    as_json: bool = typer.Option(False, "--json", help="Print the comparison as one JSON document."),
    reason: str = typer.Option("", help="Why it is accepted, for the record."),
) -> None:
    """Compare the venue's orders, trades and positions with the journal's, by prefix and by time; exit code 70 if they differ.

    Changes nothing, unless the difference is accepted, which needs the account for itself.
    """
    import asyncio

    from keeper.system import SystemClock

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    name = one_fund(settings, fund)
    begin = _instant(since, SystemClock().now())
    if accept:
        must_have_terminal("reconcile --accept", yes=yes)
        code = asyncio.run(_accept(settings, name, begin, yes=yes, as_json=as_json, reason=reason))
        raise typer.Exit(code)
    found = asyncio.run(_reconcile(settings, name, begin))
    _show(settings, name, found, as_json=as_json, accepted=False)
    raise typer.Exit(0 if found.agrees else DIFFERS)


async def _reconcile(settings: "Settings", fund: str, since: "datetime") -> "Reconciliation":
    from keeper.bootstrap import open_account, open_journal
    from keeper.service.reconciliation import reconcile as compare_books

    configured = settings.funds[fund]
    async with open_journal(settings, fund) as journal, open_account(settings, fund) as venue:
        return await compare_books(venue, journal, fund, (*configured.target, *configured.kept_symbols()), since)


async def _accept(settings: "Settings", fund: str, since: "datetime", *, yes: bool, as_json: bool, reason: str) -> int:
    from keeper.bootstrap import open_desk
    from keeper.service.reconciliation import accept
    from keeper.service.reconciliation import reconcile as compare_books

    configured = settings.funds[fund]
    symbols = (*configured.target, *configured.kept_symbols())
    async with open_desk(settings, fund, acting=True) as desk:
        await desk.rebalancer.recover()
        found = await compare_books(desk.venue, desk.journal, fund, symbols, since)
        if not as_json:
            _show(settings, fund, found, as_json=False, accepted=False)
        if not agreed(f"Accept this, and let what {fund} holds now be where it stands?", yes=yes):
            return ABORTED
        await accept(desk.venue, desk.journal, fund, found, reason)
    if as_json:
        _show(settings, fund, found, as_json=True, accepted=True)
    else:
        console().print(f"Accepted. If {fund} is halted for this, `keeper resume {fund}` lets it trade again.", soft_wrap=True)
    return 0


def _show(settings: "Settings", fund: str, found: "Reconciliation", *, as_json: bool, accepted: bool) -> None:
    venue = settings.funds[fund].venue
    environment = str(settings.venues[venue].environment)
    document = found.document(fund=fund, venue=venue, environment=environment, accepted=accepted)
    if as_json:
        print_json(document)
    else:
        from keeper.cli.tables import reconciliation_table

        reconciliation_table(document, console())


def _instant(text: str, now: "datetime") -> "datetime":
    """The time that ``--since`` means. A usage error for what is neither a duration nor a time in the past."""
    from pydantic_core import PydanticCustomError

    from keeper.settings.values import read_duration, read_instant

    readers: tuple[Callable[[], datetime], ...] = (lambda: now - read_duration(text), lambda: read_instant(text))
    for read in readers:
        try:
            at = read()
        except (PydanticCustomError, OverflowError):
            continue
        if at <= now:
            return at
    raise typer.BadParameter(f'--since {text!r} is neither a duration such as "6h" nor a past time such as 2024-08-08T23:55:00Z')
