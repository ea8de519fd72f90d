"""Why a fund's equity changed, on a terminal: the period and all of its life, and its days or months. Shows, decides nothing."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keeper.cli.cells import say, table_of
from keeper.service import figures
from keeper.service.causes import CAUSES
from keeper.service.causes_page import WORDS, carry_words

if TYPE_CHECKING:
    from rich.console import Console

MOST_DAYS = 31
"""Days that are shown one by one; a longer period is shown by month."""


def carry_lines(carry: Mapping[str, Any] | None, console: "Console") -> None:
    """What a year of holding the exposure costs, and would cost on the venue's other markets of the same asset."""
    for line in carry_words(carry):
        say(console, line, style="dim")


def causes_table(attribution: Mapping[str, Any], currency: str, console: "Console") -> None:
    """An attribution of a period, and what holding cost by day or month."""
    whole, ever = attribution["total"], attribution["since_start"]
    table = table_of(("Why it changed", f">{currency}", ">Since start"))
    for cause in CAUSES:
        table.add_row(WORDS[cause].lower(), figures.money(whole[cause]), figures.money(ever[cause]))
    table.add_section()
    table.add_row("change of equity", figures.money(whole["change"]), figures.money(ever["change"]), style="bold")
    console.print(table)
    rows = attribution["days"] if len(attribution["days"]) <= MOST_DAYS else attribution["months"]
    table = table_of(("Holding cost", f">{currency}", ">Bps of equity", ">A unit"))
    for row in (*rows, {**whole, "name": "period"}, {**ever, "name": "since start"}):
        each = figures.NONE if row["cost_per_unit"] is None else figures.price(row["cost_per_unit"])
        table.add_row(row["name"], figures.money(row["cost"]), figures.bps(row["cost_bps"]), each)
    console.print(table)
    for day in attribution["days"]:
        if day["flagged"]:
            left, share = figures.money(day["unexplained"], currency), figures.bps(day["unexplained_bps"])
            say(console, f"{day['name']}: {left} is unexplained, {share} bps of equity", style="yellow")
