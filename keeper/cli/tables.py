"""What doctor, kill, resolve and reconcile show on a terminal: their documents as tables. Shows, and decides nothing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keeper.cli.cells import plain_text, say, sided, status_text, table_of, words
from keeper.service import figures

if TYPE_CHECKING:
    from rich.console import Console

Document = Mapping[str, Any]

_AGREEING = ("agrees", "in_flight", "adopted")


def checkup_table(document: Document, console: "Console") -> None:
    """What was found out about one fund, line by line, and what came of its settings."""
    say(console, f"{document['fund']} on {document['venue']} ({document['environment']}), {figures.moment(document['at'])}")
    table = table_of(("", "Check", "Found"))
    for one in document["findings"]:
        name = plain_text(one["check"].replace("_", " ") + (f"\n{one['market']}" if one["market"] else ""))
        found = plain_text(one["found"] + (f"\n-> {one['remedy']}" if one["remedy"] else ""))
        table.add_row(status_text(one["verdict"]), name, found)
    console.print(table)
    for change in document["changes"]:
        if change["made"]:
            where = f" of {change['market']}" if change["market"] else ""
            say(console, f"Changed: {words(change['setting']).lower()}{where} from {change['before']} to {change['after']}")
    counts = [[one["verdict"] for one in document["findings"]].count(verdict) for verdict in ("fail", "warn")]
    verdict = f"{counts[0]} of {len(document['findings'])} checks fail, {counts[1]} warn."
    console.print(status_text(document["verdict"], verdict), soft_wrap=True)


def kill_table(document: Document, console: "Console") -> None:
    """What became of every order of ours, fund by fund."""
    for fund in document["funds"]:
        say(console, f"{fund['fund']} on {fund['venue']} ({fund['environment']}), {figures.moment(fund['at'])}")
        if fund["orders"]:
            table = table_of(("Order", ">Filled", "State"))
            for order in fund["orders"]:
                name = plain_text(f"{order['client_id']}\n{order['side']} {order['market']}")
                filled = f"{figures.amount(order['filled'])}\nof {figures.amount(order['amount'])}"
                state = {"live": "still rests", "unknown": "not known"}.get(order["state"], order["state"].replace("_", " "))
                notes = "" if order["recorded"] else "\nnot open in the journal"
                table.add_row(name, filled, status_text(order["state"], state).append_text(plain_text(notes)))
            console.print(table)
        if fund["trouble"]:
            say(console, f"The venue could not be asked: {fund['trouble']}. Try again, or cancel by hand.", style="red")
        elif left := [order for order in fund["orders"] if order["state"] in ("live", "unknown")]:
            say(console, f"{figures.orders(len(left))} may still rest: try again, or look at the venue.", style="red")
        else:
            say(console, "Nothing of ours rests any more.", style="green")
        if fund["unrecorded"]:
            say(console, f"The halt was NOT recorded, a daemon may go on: {fund['unrecorded']}", style="red")


def evidence_table(document: Document, console: "Console") -> None:
    """Everything that the venue says now of one child."""
    order = f"{document['side']} {figures.amount(document['amount'])} {document['market']} at {figures.price(document['price'])}"
    say(console, f"{document['client_id']}: {order}")
    told = f"{words(document['state'])} since {figures.moment(document['intended_at'])}"
    say(console, f"{told} ({document['reason'] or 'no reason recorded'}); a run of {document['run']}")
    found = document["lookup"]
    if found:
        say(
            console,
            f"By this id the venue has order {found['order_id']}: {found['state']}, {figures.amount(found['filled'])} filled",
        )
    else:
        say(console, "By this id the venue has no order")
    if document["orders"]:
        table = table_of(("Order", "Client id", ">Filled", "State", "Placed"))
        for one in document["orders"]:
            filled = f"{figures.amount(one['filled'])}\nof {figures.amount(one['amount'])}"
            name = plain_text(f"{one['order_id']}\n").append_text(sided(one["side"]))
            placed = figures.moment(one["at"], "%m-%d %H:%M:%S")
            table.add_row(name, plain_text(one["client_id"] or ""), filled, status_text(one["state"]), placed)
        console.print(table)
    else:
        say(console, f"No order was placed in {document['market']} since")
    if document["position"]:
        say(console, _position(document["position"]))
    if document["unread"]:
        say(console, f"Not told: {document['unread']}", style="yellow")


def reconciliation_table(document: Document, console: "Console") -> None:
    """What differs between venue and journal, what others traded, and what positions should be."""
    titled = f"{document['fund']} on {document['venue']} ({document['environment']})"
    say(console, f"{titled}, {figures.moment(document['since'])} to {figures.moment(document['at'])}")
    orders: Sequence[Document] = document["orders"]
    differing = [one for one in orders if one["verdict"] not in _AGREEING]
    say(console, f"{figures.orders(len(orders))} of ours, {len(differing)} of which differ")
    if differing:
        table = table_of(("Order", "Difference"))
        for one in differing:
            table.add_row(plain_text(f"{one['client_id']}\n{one['side']} {one['market']}"), plain_text(one["what"]))
        console.print(table)
    if document["foreign"]:
        table = table_of(("Order of others", ">Filled", "State", "Placed"))
        for one in document["foreign"]:
            name = sided(one["side"], one["market"]).append_text(plain_text(f"\n{one['client_id'] or one['order_id']}"))
            state = one["state"].replace("_", " ") + ("\nforced by the venue" if one["forced"] else "")
            table.add_row(name, figures.amount(one["filled"]), plain_text(state), figures.moment(one["at"], "%m-%d %H:%M:%S"))
        console.print(table)
    if document["positions"]:
        table = table_of(("Position", ">Settled", ">Ours", ">Others", ">Held", ">Unexplained"))
        for one in document["positions"]:
            parts = (figures.amount(one[key]) for key in ("settled", "own", "foreign", "held", "difference"))
            table.add_row(plain_text(one["market"]), *parts)
        console.print(table)
    if changed := [one for one in document["contracts"] if one["differs"]]:
        table = table_of(("Contract", "On record", "At the venue"))
        for one in changed:
            before, after = one["pinned"], one["found"]
            apart = sorted(key for key in {**before, **after} if before.get(key) != after.get(key))
            sides = ("\n".join(f"{words(key)} {side.get(key, 'unknown')}" for key in apart) for side in (before, after))
            table.add_row(plain_text(one["market"]), *map(plain_text, sides))
        console.print(table)
    verdict = "agrees" if document["agrees"] else "differs"
    console.print(status_text(verdict, f"Venue and journal {'agree' if document['agrees'] else 'differ'}."), soft_wrap=True)


def _position(position: Document) -> str:
    held = f"{figures.amount(position['held'])} contracts are held, {figures.amount(position['expected'])} are explained"
    return f"{held}: {figures.amount(position['difference'])} are not" if position["difference"] != "0" else held
