"""What the books of a fund look like on a terminal: their documents as tables. Shows, and decides nothing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from keeper.cli.cells import plain_text, say, table_of
from keeper.service import figures

if TYPE_CHECKING:
    from rich.console import Console

Document = Mapping[str, Any]

UNNAMED = "(no name)"
_FIGURES = (
    ("Equity", "equity", figures.money),
    ("In transit", "in_transit", figures.money),
    ("Owed", "owed", figures.money),
    ("NAV", "nav", figures.money),
    ("Units", "units", figures.amount),
    ("NAV per unit", "nav_per_unit", figures.price),
    ("High-water mark", "high_water_mark", figures.price),
)
_RATES = ("management", "performance", "creation", "redemption")


def books_table(document: Document, console: "Console") -> None:
    """Books as they stand."""
    titled = f"{document['fund']} on {document['venue']} ({document['environment']})"
    say(console, f"{titled}, {figures.moment(document['at'])}")
    if document["opened_at"] is None:
        say(console, f"No books yet; the account is worth {figures.money(document['equity'], document['currency'])}.")
        say(console, f"`keeper nav open {document['fund']}` makes units of it.", style="bold")
        return
    table = table_of(("", f">{document['currency']}"))
    for head, key, form in _FIGURES:
        if key != "in_transit" or document["transit"]:
            table.add_row(head, form(document[key]), style="bold" if key == "nav_per_unit" else None)
    console.print(table)
    table = table_of(("Holder", ">Units", ">Share", f">{document['currency']}"))
    for one in document["holders"]:
        name = plain_text(one["holder"] or UNNAMED)
        share = f"{figures.fixed(Decimal(one['share']) * 100, 2)}%"
        table.add_row(name, figures.amount(one["units"]), share, figures.money(one["value"]))
    if document["holders"]:
        console.print(table)
    if owed := [one for one in document["payees"] if Decimal(one["owed"])]:
        table = table_of(("Payee", ">Owed", ">of it provisional"))
        for one in owed:
            table.add_row(plain_text(one["payee"]), figures.money(one["owed"]), figures.money(one["provisional"]))
        console.print(table)
    say(console, f"Fees: {_charged(document['fees'])}", style="dim")
    if document["coming_fees"]:
        since = document["coming_fees"]["from"]
        when = f"from {figures.moment(since)}" if since else "once they are recorded"
        say(console, f"{when[0].upper()}{when[1:]}: {_charged(document['coming_fees'])}", style="dim")
    _open_ends(document, console)
    say(console, f"Books since {figures.moment(document['opened_at'])}", style="dim")


def _open_ends(document: Document, console: "Console") -> None:
    """Money on its way, and money that nobody has named, each with what to type."""
    for one in document["transit"]:
        whose = f" ({one['party']})" if one["party"] else ""
        due = "is yet to come in" if one["way"] == "in" else "is yet to leave"
        say(console, f"{figures.money(one['amount'], document['currency'])}{whose} {due} since {figures.moment(one['at'])}:")
        say(console, f"`keeper nav moved {document['fund']} {one['id']}` once it has", style="bold")
    for one in document["unassigned"]:
        way = "came in" if one["way"] == "in" else "left"
        say(console, f"{figures.money(one['amount'], document['currency'])} {way} on {figures.moment(one['at'])}, unannounced:")
        say(console, f"`keeper nav assign {document['fund']} {one['id']} --holder NAME` says whose it is", style="bold")


def entries_table(document: Document, console: "Console") -> None:
    """Every entry with its id, time and sentence."""
    if not document["entries"]:
        say(console, "No entry yet.")
        return
    table = table_of(("Entry", "At, UTC", "What"))
    for entry in document["entries"]:
        reason = f"\n{entry['reason']}" if entry["reason"] else ""
        when = figures.moment(entry["at"], "%Y-%m-%d\n%H:%M:%S")
        table.add_row(plain_text(entry["id"]), when, plain_text(f"{_told(entry)}{reason}"))
    console.print(table)


def deal_table(document: Document, console: "Console") -> None:
    """What is about to be booked, with the books right before it and after it."""
    before, after = document["before"], document["after"]
    say(console, f"{document['fund']} on {document['venue']} ({document['environment']})")
    for entry in document["entries"]:
        say(console, _told(entry))
    table = table_of(("", ">Before", ">After"))
    for head, key, form in _FIGURES:
        table.add_row(head, form(before[key]) if before else figures.NONE, form(after[key]))
    for holder in dict.fromkeys([one["holder"] for side in (before, after) if side for one in side["holders"]]):
        for what, form in (("units", figures.amount), ("value", figures.money)):
            sides = [_of(side, holder, what) for side in (before, after)]
            table.add_row(plain_text(f"{holder or UNNAMED}, {what}"), *map(form, sides))
    console.print(table)


def _of(side: Document | None, holder: str | None, what: str) -> str | None:
    """A holder's figure on one side; None where there are no books or they hold nothing."""
    found = [one[what] for one in side["holders"] if one["holder"] == holder] if side else []
    return found[0] if found else None


def _told(entry: Document) -> str:
    """What an entry says, in a sentence."""
    currency = entry["currency"]
    who, units = entry["party"] or "The holder without a name", f"{figures.amount(entry['units'])} units"
    money, price = figures.money(entry["amount"], currency), f"{figures.price(entry['price'])} {currency} a unit"
    coming = "which is not in the account yet" if entry["in_transit"] else "which is in the account already"
    going = "which has not left the account yet" if entry["in_transit"] else "which has left the account already"
    paid = f"which entry {entry['about']} tells of" if entry["about"] else going
    sentences = {
        "opened": f"The books begin: what is in the account is {units} at {price}",
        "terms": f"Other fees are recorded: {_charged(entry['fees'])}" if entry["fees"] else "",
        "subscribed": f"{who} gets {units} at {price} for {money}, {coming}",
        "redeemed": f"{who} gives {units} back at {price} for {money}, {going}",
        "paid": f"{who} gets {money} of what is owed, {paid}",
        "consolidated": f"{figures.amount(entry['ratio'])} old units become a new one",
        "moved": f"The money of entry {entry['about']} has come or gone",
        "canceled": f"The money of entry {entry['about']} ({money}) will not move, and its {units} count no more",
        "flowed": f"The exchange tells of {money} that nobody announced: {units} at {price} that are nobody's by name",
        "assigned": f"The money of entry {entry['about']} was {who}'s",
    }
    return f"{sentences[entry['kind']]}."


def _charged(fees: Document) -> str:
    """What is charged, in words."""
    rates = ", ".join(f"{name} {figures.amount(Decimal(fees[name]) * 100)}%" for name in _RATES if Decimal(fees[name]))
    shares = fees["payees"].items()
    split = ", ".join(f"{payee} {figures.amount(Decimal(share) * 100)}%" for payee, share in shares)
    return f"{rates} (to {split})" if rates else "none"
