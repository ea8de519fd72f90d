"""What commands show on a terminal: the documents of ``--json`` as tables. Shows, and decides nothing.

Rich is imported inside the functions, since a module that only starts the program must stay light. Cells fold and are
never cut off: a figure that is not whole is worse than an ugly one.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keeper.cli.cause_tables import carry_lines, causes_table
from keeper.cli.cells import plain_text, say, sided, status_text, table_of, words
from keeper.service import figures
from keeper.service.documents import PARTS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Document = Mapping[str, Any]


def plan_table(document: Document, console: "Console") -> None:
    """A plan: where the fund stands, each leg, what it should cost, what would make it act, and what forbids it."""
    currency = document["currency"]
    stands = f"NAV {figures.money(document['nav'], currency)}, leverage {figures.leverage(document['leverage'])}"
    say(console, _titled(document), f"{stands} net, {figures.leverage(document['gross_leverage'])} gross")
    say(console, f"{'Due' if document['due'] else 'Nothing due'}: {document['reason']}")
    if document["legs"]:
        table = table_of(("Market", "Trade", ">Notional", ">Leverage", ">Slices"))
        for leg in document["legs"]:
            order = f"{figures.amount(leg['amount_base'])} {figures.base_asset(leg['market'])}\nat {figures.price(leg['price'])}"
            notes = "\nreduce-only" if leg["reduce_only"] else ""
            table.add_row(
                leg["market"] + notes,
                sided(leg["side"], order),
                f"{figures.money(leg['notional'])}\n{currency}",
                _way(leg),
                str(leg["slices"]),
            )
        console.print(table)
        say(console, _estimate(document["cost"]))
        for leg in document["legs"]:
            say(console, *_crowding(leg), style="dim")
    for note in document.get("notes") or ():
        say(console, note, style="dim")
    for trigger in document["triggers"]:
        where = f"{trigger['market']} at {figures.price(trigger['price'])} ({figures.percent(trigger['move'])})"
        level = "Band ends" if trigger["cause"] == "band" else "Emergency"
        say(console, f"{level} at {figures.leverage(trigger['leverage'])}: {where}", style="dim")
    for refusal in document["refusals"]:
        say(console, f"Refused, {refusal['code']}: {refusal['message']}", style="red")
    say(console, f"Plan {document['hash'][:12]}, good until {figures.moment(document['expires_at'])}", style="dim")


def _crowding(leg: Document) -> list[str]:
    """How much of its market a leg is; nothing where neither is known."""
    named = {"volume_share": "of what traded in 24 h", "depth_share": "of the depth within the collar"}
    shares = [f"{figures.percent(leg[name]).lstrip('+')} {words}" for name, words in named.items() if leg.get(name)]
    return [f"{leg['market']}: {', '.join(shares)}"] if shares else []


def run_summary(document: Document, console: "Console", *, plan: Document | None = None, orders: bool = False) -> None:
    """A run: what it did in one sentence, each leg, and the cost by part.

    With the predicted cost beside the realised one where ``plan`` is given, and every order where ``orders``.
    """
    console.print(status_text(document["status"], f"{figures.headline(document)}."), soft_wrap=False)
    if document["asked"]:
        say(console, f"Asked for ({document['trigger'].partition(':')[0]}): {document['asked']}")
    if why := figures.why(document):
        say(console, f"{words(document['status'])}: {why}")
    if document["nav_after"] is not None:
        nav = f"NAV {figures.money(document['nav_before'])} to {figures.money(document['nav_after'], document['currency'])}"
        gross = f"gross leverage {figures.leverage(document['gross_leverage_before'])}"
        say(console, f"{nav}, {gross} to {figures.leverage(document['gross_leverage_after'])}")
    if document["nav_per_unit"] is not None:
        say(console, f"NAV per unit {figures.price(document['nav_per_unit'])} {document['currency']}")
    if document["legs"]:
        table = table_of(("Market", "Side", ">Traded", ">Gap", ">Leverage"))
        for leg in document["legs"]:
            traded = f"{figures.amount(leg['traded'])}\nof {figures.amount(leg['planned'])}"
            table.add_row(leg["market"], sided(leg["side"]), traded, figures.amount(leg["gap"]), _way(leg))
        console.print(table)
    if document["shortfall"]:
        console.print(_cost_table(document, (plan or {}).get("cost") or {}))
    for asset, fee in document["unpriced_fees"].items():
        say(console, f"Not valued, and in none of these figures: fees of {figures.amount(fee)} {asset}", style="yellow")
    if orders and document["children"]:
        console.print(_orders_table(document["children"]))
    ended = f" to {figures.moment(document['ended_at'])}" if document["ended_at"] else ", not ended"
    say(console, f"Run {document['run']}, {figures.moment(document['started_at'])}{ended}", style="dim")


def status_table(document: Document, console: "Console") -> None:
    """Every fund: its state, what it is worth, its last run and its next slot."""
    if not document["funds"]:
        say(console, "No fund is configured.")
        return
    table = table_of(("Fund", "State", ">NAV", ">Leverage", "Last run, UTC"))
    for fund in document["funds"]:
        last = fund["last_run"]
        when = figures.moment(last["ended_at"] or last["started_at"], "%Y-%m-%d %H:%M:%S") if last else ""
        ran = f"{words(last['status'])}\n{when}" if last else "never"
        gross = f"\n{figures.leverage(fund['gross_leverage'])} gross" if fund["gross_leverage"] else ""
        per_unit = f"\n{figures.price(fund['nav_per_unit'])} a unit" if fund["nav_per_unit"] else ""
        table.add_row(
            f"{fund['fund']}\n{fund['venue']}, {fund['environment']}",
            status_text(fund["state"]),
            f"{figures.money(fund['nav'])}\n{fund['currency'] or ''}{per_unit}",
            f"{figures.leverage(fund['leverage'])}{gross}",
            ran,
        )
    console.print(table)
    for fund in document["funds"]:
        for note, style in _notes(fund):
            say(console, f"{fund['fund']}: {note}", style=style)


def runs_table(document: Document, console: "Console") -> None:
    """Runs, one row each."""
    if not document["runs"]:
        say(console, "No run yet.")
        return
    table = table_of(("Run", "Started", ">Leverage", ">Traded", ">Cost, bps"))
    for run in document["runs"]:
        started = figures.moment(run["started_at"], "%Y-%m-%d\n%H:%M UTC")
        way = _way(run)
        traded = f"{figures.money(run['filled_notional'])}\n{run['currency'] if run['filled_notional'] else ''}"
        name = plain_text(f"{run['run']}\n").append_text(status_text(run["status"]))
        table.add_row(name, started, way, traded, figures.bps(run["total_bps"]))
    console.print(table)


def period_table(document: Document, console: "Console", period: str) -> None:
    """A period of one fund: what it made against its ideal and the market, and what trading cost by cause."""
    if not document["rows"]:
        say(console, f"{document['fund']} has no run in {period}.")
        return
    counts = ", ".join(f"{count:,} {words(status).lower()}" for status, count in document["runs"].items())
    say(console, f"{document['fund']}, {period}: {counts}")
    nav = f"NAV {figures.money(document['nav_first'])} to {figures.money(document['nav_last'], document['currency'])}"
    say(console, f"{nav}, of which {figures.money(document['flows'])} was paid in")
    say(console, f"Traded {figures.money(document['traded'])} ({figures.leverage(document['turnover'])} of mean NAV)")
    if tracking := document["tracking"]:
        table = table_of(("Return", ">Period"))
        table.add_row("fund", figures.percent(tracking["fund"]))
        table.add_row("ideal multiple", figures.percent(tracking["ideal"]))
        for market, move in tracking["underlying"].items():
            table.add_row(plain_text(market), figures.percent(move))
        table.add_row("difference, bps", figures.bps(tracking["difference_bps"], signed=True))
        table.add_row("tracking error a year", figures.percent(tracking["error"]))
        table.add_row("path", figures.percent(tracking["path"]))
        console.print(table)
    table = table_of(("Cost", ">Bps of NAV", f">{document['currency']}"))
    for part in (*PARTS, "total"):
        table.add_row(part, figures.bps(document["cost_bps"][part]), figures.money(document["cost"][part]))
    console.print(table)
    if document["attribution"]:
        causes_table(document["attribution"], document["currency"], console)
    carry_lines(document["carry"], console)


def config_table(rows: Sequence[tuple[str, str, str]], console: "Console") -> None:
    """Settings as they are in force. rows: dotted key, value (never a secret), and where it was set."""
    table = table_of(("Setting", "Value", "Set by"))
    for key, value, source in rows:
        table.add_row(plain_text(key), plain_text(value), plain_text(source))
    console.print(table)


def stands(standing: Document) -> str:
    """Since when a fund is halted or bound to reductions, and why."""
    bound = "halted" if standing["state"] == "halted" else "bound to reductions"
    since = f" since {figures.moment(standing['at'])}" if standing["at"] else ""
    cause = f"{standing['cause'].replace('_', ' ')}: " if standing["cause"] else ""
    return f"{bound}{since} ({cause}{standing['reason'] or 'no reason given'})"


def _notes(fund: Document) -> list[tuple[str, str]]:
    notes = []
    if fund["blocked_by"]:
        notes.append((f"adds no risk until the outcome is known of {', '.join(fund['blocked_by'])}", "red"))
    standing = fund["standing"]
    if standing["state"] != "active":
        notes.append((f"{stands(standing)}: {standing['meaning']}", "red" if standing["state"] == "halted" else "yellow"))
    if fund["trouble"]:
        notes.append((f"tries again: {fund['trouble']}", "yellow"))
    if fund["state"] == "interrupted":
        notes.append(("a run was left behind; the next one settles its orders first", "yellow"))
    if fund["last_run"] and fund["last_run"]["status"] in ("incomplete", "refused", "missed"):
        notes.append((f"{fund['last_run']['run']}: {fund['last_run']['reason']}", "yellow"))
    if fund["open_until"]:
        notes.append((f"a slot is yet to be run, and may be until {figures.moment(fund['open_until'])}", "yellow"))
    if fund["in_transit"]:
        counted = f"its books count money in transit ({', '.join(fund['in_transit'])})"
        notes.append((f"{counted}: `keeper nav moved {fund['fund']} ID` once it has come or gone", "yellow"))
    for word, slot in zip(("next at", "then at", "and at"), fund["next_slots"], strict=False):
        notes.append((f"{word} {figures.moment(slot['utc'])} ({slot['local']})", "dim"))
    notes += [(f"next: {step}", "bold") for step in fund["next"]]
    notes += _waiting(fund["fund"], fund["target"]["waiting"])
    notes += _emergency(fund["emergency"], halted=standing["state"] == "halted")
    if fund["as_of"]:
        notes.append((f"NAV as of {figures.moment(fund['as_of'])}", "dim"))
    return notes


def _waiting(fund: str, told: Document | None) -> list[tuple[str, str]]:
    """Targets that wait for a human, or for the next run."""
    if told is None:
        return []
    targets = ", ".join(f"{market} at {target}x" for market, target in told["targets"].items())
    if told["approved_until"] is not None:
        return [(f"{targets} ({told['source']}) is approved of until {figures.moment(told['approved_until'])}", "yellow")]
    return [(f"{targets} ({told['source']}) waits: `keeper approve {fund}` once it is meant", "yellow")]


def _emergency(told: Document, *, halted: bool) -> list[tuple[str, str]]:
    """Where an emergency begins, and how far it is."""
    notes = []
    if told["danger"]:
        left_alone = "; it is halted, and nothing is done about it: `keeper resume` or `keeper flatten`" if halted else ""
        notes.append((f"emergency: {told['danger']}{left_alone}", "red"))
    if told["max_leverage"] is not None:
        moves = [
            f"{move['market']} at {figures.price(move['price'])} ({figures.percent(move['move'])})"
            for move in told["moves"] or ()
        ]
        level = f"emergency at {figures.leverage(told['max_leverage'])} gross, down to {figures.leverage(told['to'])}"
        notes.append((f"{level}{': ' if moves else ''}{' or '.join(moves)}", "dim"))
    if told["as_of"]:
        notes.append((f"{figures.leverage(told['gross_leverage'])} gross as of {figures.moment(told['as_of'])}", "dim"))
    return notes


def _estimate(cost: Document) -> str:
    parts = ", ".join(f"{name} {figures.bps(cost[f'{name}_bps'])}" for name in ("fee", "spread", "impact"))
    return f"Estimated cost {figures.bps(cost['total_bps'])} bps, give or take {figures.bps(cost['band_bps'])} ({parts})"


def _cost_table(document: Document, predicted: Document) -> "Table":
    shortfall = document["shortfall"]
    table = table_of(("Cost", f">{document['currency']}", ">bps", *((">Predicted, bps",) if predicted else ())))
    for part in (*PARTS, "total"):
        in_bps = "fee_bps" if part == "fees" else f"{part}_bps"
        cells = [figures.money(shortfall[part]), figures.bps(shortfall[in_bps])]
        if predicted:
            cells.append(figures.bps(predicted.get(in_bps)))
        if part == "total":
            table.add_section()
        table.add_row(part, *cells, style="bold" if part == "total" else None)
    return table


def _orders_table(children: Sequence[Document]) -> "Table":
    table = table_of(("Order", ">Filled", ">Average", "State"))
    for child in children:
        filled = f"{figures.amount(child['filled'])}\nof {figures.amount(child['amount'])}"
        state = f"{words(child['state'])}\n{child['reason']}".rstrip()
        name = plain_text(f"{child['client_id']}\n{child['side']} {child['market']}")
        table.add_row(name, filled, figures.price(child["average"]), plain_text(state))
    return table


def _way(document: Document) -> str:
    before, after = document["leverage_before"], document["leverage_after"]
    return f"{figures.leverage(before)}\nto {figures.leverage(after)}" if after is not None else figures.leverage(before)


def _titled(document: Document) -> str:
    return f"{document['fund']} on {document['venue']} ({document['environment']}), {figures.moment(document['at'])}"
