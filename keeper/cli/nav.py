"""Commands about the books of a fund: its units, its NAV per unit, what comes and goes, and fees.

None sends an order, so that they work beside whoever trades the account, which all but ``list`` read.
"""

from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund, print_json
from keeper.cli.questions import agreed, must_have_terminal
from keeper.cli.screen import console

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from decimal import Decimal

    from rich.console import Console

    from keeper.accounting.dealing import Request
    from keeper.service.books import Bookkeeper, Deal, View
    from keeper.service.documents import Document
    from keeper.settings.sources import Settings

    Reckon = Callable[[Bookkeeper], Awaitable[Deal]]

ABORTED, REFUSED = 1, 3
ATTEMPTS = 5
"""How often a request is reckoned anew because the books were changed while it was."""

nav = typer.Typer(no_args_is_help=True, help="The books of a fund: units, NAV per unit, what comes and goes, fees.")
_YES = typer.Option(False, "--yes", "-y", help="Do not ask; required where there is no terminal.")
_JSON = typer.Option(False, "--json", help="Print one JSON document.")
_ID = typer.Option("", "--id", help="Names the entry, so that it is booked once however often this is typed. Default: made up.")
_REASON = typer.Option("", help="Why, for the record.")
_HOLDER = typer.Option("", "--holder", help="Whose units. Default: those of the holder without a name.")
_PAID = typer.Option(False, "--paid", help="The money has left the account already.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(nav, name="nav")


@nav.callback()
def _nav() -> None:
    """The books of a fund."""


@nav.command("show")
def show(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    as_json: bool = _JSON,
) -> None:
    """Show units, NAV per unit, holders and owed fees, at what the account is worth now."""
    import asyncio

    from keeper.service.book_documents import view_document

    settings, name = _chosen(context, fund)
    document = view_document(asyncio.run(_view(settings, name)), _place(settings, name))
    if as_json:
        print_json(document)
    else:
        from keeper.cli.book_tables import books_table

        books_table(document, console())


@nav.command("list")
def entries(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    holder: str = typer.Option("", "--holder", help="Only entries of this holder or payee."),
    as_json: bool = _JSON,
) -> None:
    """List every entry of the books, oldest first, from the journal alone."""
    import asyncio

    from keeper.records import ledger_of
    from keeper.service.book_documents import entries_document

    settings, name = _chosen(context, fund, keys=False)
    ledger = asyncio.run(ledger_of(settings, name))
    document = entries_document(ledger, _place(settings, name), holder)
    if as_json:
        print_json(document)
    else:
        from keeper.cli.book_tables import entries_table

        entries_table(document, console())


@nav.command("open")
def begin(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    price: str = typer.Option("1", "--price", help="NAV per unit to begin with."),
    holder: str = _HOLDER,
    entry_id: str = _ID,
    reason: str = _REASON,
    yes: bool = _YES,
    as_json: bool = _JSON,
) -> None:
    """Begin the books: what is in the account becomes units."""
    settings, name = _chosen(context, fund)
    first = _number(price, "--price")
    whose, named, why = _text(holder, "--holder"), _text(entry_id, "--id"), _text(reason, "--reason")
    reckon: Reckon = lambda keeper: keeper.opening(holder=whose, price=first, entry_id=named, reason=why)  # noqa: E731
    _book(settings, name, "open", reckon, yes=yes, as_json=as_json)


@nav.command("subscribe")
def subscribe(  # noqa: PLR0913 - a command's options are its arguments
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    amount: str = typer.Argument(help="Money that comes in, in the fund's currency."),
    *,
    arrived: bool = typer.Option(False, "--arrived", help="It is in the account already."),
    holder: str = _HOLDER,
    entry_id: str = _ID,
    reason: str = _REASON,
    yes: bool = _YES,
    as_json: bool = _JSON,
) -> None:
    """Issue units for money, at the NAV per unit before it. Books that are not open begin with what else is in the account."""
    from keeper.accounting.dealing import Subscription

    settings, name = _chosen(context, fund)
    request = Subscription(holder=_text(holder, "--holder"), amount=_number(amount, "AMOUNT"), moved=arrived)
    _request(settings, name, "subscribe", request, entry_id, reason, yes=yes, as_json=as_json)


@nav.command("redeem")
def redeem(  # noqa: PLR0913 - a command's options are its arguments
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    *,
    units: str = typer.Option("", "--units", help="So many units."),
    amount: str = typer.Option("", "--amount", help="So much money, in the fund's currency."),
    everything: bool = typer.Option(False, "--all", help="All units of the holder."),
    paid: bool = _PAID,
    prepare: bool = typer.Option(False, "--prepare", help="Then reduce exposure by the share that is to leave, before it does."),
    holder: str = _HOLDER,
    entry_id: str = _ID,
    reason: str = _REASON,
    yes: bool = _YES,
    as_json: bool = _JSON,
) -> None:
    """Take units back for money, at the NAV per unit before it."""
    from keeper.accounting.dealing import Redemption

    settings, name = _chosen(context, fund)
    if [bool(units), bool(amount), everything].count(True) != 1:
        raise typer.BadParameter("say how much: one of --units U, --amount A and --all")
    if paid and not amount:
        raise typer.BadParameter("say how much has left the account: --paid goes with --amount")
    request = Redemption(
        holder=_text(holder, "--holder"),
        units=_number(units, "--units") if units else None,
        amount=_number(amount, "--amount") if amount else None,
        moved=paid,
    )
    if not prepare:
        _request(settings, name, "redeem", request, entry_id, reason, yes=yes, as_json=as_json)
    if paid or as_json:
        wrong = "--paid: the money has left already" if paid else "--json: `keeper runs show` tells of its run"
        raise typer.BadParameter(f"--prepare does not go with {wrong}")
    _prepare(settings, name, request, entry_id, reason, yes=yes)


@nav.command("pay")
def pay(  # noqa: PLR0913 - a command's options are its arguments
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    payee: str = typer.Argument(help="Who is owed fees, as `keeper nav show` names them."),
    amount: str = typer.Argument("", help="How much; all that is owed when left out."),
    *,
    paid: bool = _PAID,
    entry_id: str = _ID,
    reason: str = _REASON,
    yes: bool = _YES,
    as_json: bool = _JSON,
) -> None:
    """Book that a payee gets fees that are owed."""
    from keeper.accounting.dealing import Payment

    settings, name = _chosen(context, fund)
    if paid and not amount:
        raise typer.BadParameter("say how much has left the account: --paid goes with AMOUNT")
    request = Payment(payee=_text(payee, "PAYEE"), amount=_number(amount, "AMOUNT") if amount else None, moved=paid)
    _request(settings, name, "pay", request, entry_id, reason, yes=yes, as_json=as_json)


@nav.command("moved")
def moved(
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    entry: str = typer.Argument(help="Id of the entry whose money was on its way, as `keeper nav show` names it."),
    *,
    entry_id: str = _ID,
    reason: str = _REASON,
    yes: bool = _YES,
    as_json: bool = _JSON,
) -> None:
    """Book that the money of an entry is in the account now, or has left it."""
    from keeper.accounting.dealing import Movement

    settings, name = _chosen(context, fund)
    _request(settings, name, "moved", Movement(_text(entry, "ID")), entry_id, reason, yes=yes, as_json=as_json)


@nav.command("cancel")
def cancel(
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    entry: str = typer.Argument(help="Id of the entry whose money was on its way, as `keeper nav show` names it."),
    *,
    entry_id: str = _ID,
    reason: str = _REASON,
    yes: bool = _YES,
    as_json: bool = _JSON,
) -> None:
    """Undo an entry whose money will not move, or moved as another amount: its units go back, a fee is owed again."""
    from keeper.accounting.dealing import Cancellation

    settings, name = _chosen(context, fund)
    _request(settings, name, "cancel", Cancellation(_text(entry, "ID")), entry_id, reason, yes=yes, as_json=as_json)


@nav.command("assign")
def assign(  # noqa: PLR0913 - a command's options are its arguments
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    entry: str = typer.Argument(help="Id of the flow that nobody announced, as `keeper nav show` names it."),
    *,
    holder: str | None = typer.Option(None, "--holder", help="Whose money it was."),
    payee: str = typer.Option("", "--payee", help="Who got it as fees that were owed."),
    entry_id: str = _ID,
    reason: str = _REASON,
    yes: bool = _YES,
    as_json: bool = _JSON,
) -> None:
    """Say whose money it was that came or left and that nobody announced: its units are theirs, or it paid what was owed."""
    from keeper.accounting.dealing import Assignment, Settlement

    settings, name = _chosen(context, fund)
    if (holder is None) is not bool(payee):
        raise typer.BadParameter("say whose it was: one of --holder NAME and --payee NAME")
    flow = _text(entry, "ID")
    request = Settlement(flow, _text(payee, "--payee")) if holder is None else Assignment(flow, _text(holder, "--holder"))
    _request(settings, name, "assign", request, entry_id, reason, yes=yes, as_json=as_json)


@nav.command("consolidate")
def consolidate(
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    ratio: str = typer.Argument(help='Old units in a new one: 10, or "10:1"; a split is below 1, such as 0.1 or "1:3".'),
    *,
    entry_id: str = _ID,
    reason: str = _REASON,
    yes: bool = _YES,
    as_json: bool = _JSON,
) -> None:
    """Make each unit another number of them, which changes nobody's value."""
    from keeper.accounting.dealing import Consolidation

    settings, name = _chosen(context, fund)
    _request(settings, name, "consolidate", Consolidation(_ratio(ratio)), entry_id, reason, yes=yes, as_json=as_json)


def _prepare(settings: "Settings", fund: str, request: "Request", entry_id: str, reason: str, *, yes: bool) -> None:
    """Book ``request`` and, where it is booked, rebalance to what stays; exit with what became of that."""
    from keeper.cli.acting import run_now

    try:
        _request(settings, fund, "redeem", request, entry_id, reason, yes=yes, as_json=False)
    except typer.Exit as ended:
        if ended.exit_code:
            raise
    why = f"a redemption is on its way out: {reason}" if reason else "a redemption is on its way out"
    raise typer.Exit(run_now(settings, fund, yes=yes, as_json=False, reason=why))


def _request(
    settings: "Settings", fund: str, command: str, request: "Request", entry_id: str, reason: str, *, yes: bool, as_json: bool
) -> None:
    """Reckon ``request``, show it, ask, book it, and exit."""
    named, why = _text(entry_id, "--id"), _text(reason, "--reason")
    reckon: Reckon = lambda keeper: keeper.deal(request, entry_id=named, reason=why)  # noqa: E731
    _book(settings, fund, command, reckon, yes=yes, as_json=as_json)


def _book(settings: "Settings", fund: str, command: str, reckon: "Reckon", *, yes: bool, as_json: bool) -> None:
    import asyncio

    must_have_terminal(f"nav {command}", yes=yes)
    document, code = asyncio.run(_booked(settings, fund, reckon, console(stderr=as_json), yes=yes))
    if as_json:
        print_json(document)
    raise typer.Exit(code)


async def _booked(settings: "Settings", fund: str, reckon: "Reckon", screen: "Console", *, yes: bool) -> "tuple[Document, int]":
    from keeper.bootstrap import open_books
    from keeper.cli.book_tables import deal_table
    from keeper.domain.errors import BookRefused
    from keeper.domain.ledger import BookFault, refused
    from keeper.service.book_documents import deal_document

    place = _place(settings, fund)
    try:
        async with open_books(settings, fund, writing=True) as keeper:
            for _ in range(ATTEMPTS):
                deal = await reckon(keeper)
                if deal.done is not None:
                    screen.print(f"Entry {deal.done.id} is booked already: nothing was done.", soft_wrap=True, markup=False)
                    return deal_document(deal, place, status="already_booked"), 0
                deal_table(deal_document(deal, place, status="booked"), screen)
                if not agreed("Book this?", yes=yes):
                    return deal_document(deal, place, status="aborted"), ABORTED
                if await keeper.book(deal):
                    screen.print(f"Booked as {deal.entry.id}.", soft_wrap=True, markup=False)
                    return deal_document(deal, place, status="booked"), 0
                screen.print("That is out of date; here it is anew.")
        raise refused(BookFault.BUSY, "others changed the books each time that this was reckoned: try again")
    except BookRefused as refusal:
        typer.echo(f"keeper: refused, {refusal.code}: {refusal}", err=True)
        return deal_document(None, place, status="refused", refusal=refusal), REFUSED


async def _view(settings: "Settings", fund: str) -> "View":
    from keeper.bootstrap import open_books

    async with open_books(settings, fund, writing=False) as keeper:
        return await keeper.view()


def _chosen(context: typer.Context, fund: str, *, keys: bool = True) -> "tuple[Settings, str]":
    options: Options = context.obj
    options.start_log()
    settings = options.settings(keys=keys)
    return settings, one_fund(settings, fund)


def _place(settings: "Settings", fund: str) -> dict[str, str]:
    venue = settings.funds[fund].venue
    return {"fund": fund, "venue": venue, "environment": str(settings.venues[venue].environment)}


def _number(text: str, name: str) -> "Decimal":
    """A number as an operator writes it. A usage error for anything else."""
    from keeper.domain.numbers import parse_plain

    try:
        return parse_plain(text)
    except ValueError as error:
        raise typer.BadParameter(f"{name}: {error}") from error


def _text(text: str, name: str) -> str:
    """A name or a reason as it goes on record. A usage error for what can't be printed, or looks like another name."""
    if not text.isprintable() or text != text.strip():
        raise typer.BadParameter(f"{name}: must be text that can be printed, without spaces around it")
    return text


def _ratio(text: str) -> "Decimal":
    """Old units in a new one, from a number or OLD:NEW. A usage error for anything else, and for a new one of nothing."""
    from keeper.domain.numbers import exact

    old, colon, new = text.partition(":")
    parts = [_number(part, "RATIO") for part in ((old, new) if colon else (old, "1"))]
    if not parts[1] > 0:
        raise typer.BadParameter(f"RATIO: {text!r} makes no new units")
    return exact(lambda: parts[0] / parts[1])()
