"""The changes of a fund's equity by cause, as a section of the period's page: a table, and what it cost day by day."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import groupby
from typing import Any

from keeper.service import figures
from keeper.service.causes import CAUSES
from keeper.service.page import cell, table
from keeper.service.period_charts import MOST_BARS, stack_chart
from keeper.service.svg import element, text

DRAWN = ("trading", "whipsaw", "funding", "borrow", "fees", "path")
"""The causes that are drawn: what holding the exposure cost, and what turning prices did."""
WORDS = {
    "market": "Market, at target",
    "drift": "Drift from target",
    "path": "Path",
    "trading": "Trading",
    "whipsaw": "Emergencies that prices came back from",
    "funding": "Funding",
    "borrow": "Borrow interest",
    "fees": "Network fees, and other charges",
    "flows": "Paid in less paid out",
    "unexplained": "Unexplained",
}


def causes_section(attribution: Mapping[str, Any] | None, currency: str, carry: Mapping[str, Any] | None = None) -> str:
    """The section; empty where nothing is attributed."""
    if attribution is None:
        return ""
    whole, ever = attribution["total"], attribution["since_start"]
    rows = [
        element(
            "tr",
            element("th", element("span", class_=f"chip {cause}") if cause in DRAWN else "", text(WORDS[cause]), scope="row"),
            *(cell(figures.money(found[cause])) for found in (whole, ever)),
        )
        for cause in CAUSES
    ]
    total = element(
        "tr",
        element("th", "Change of equity", scope="row"),
        *(cell(figures.money(found["change"])) for found in (whole, ever)),
    )
    heads = ("Cause", f"Period, {currency}", "Since start")
    chart = stack_chart(_bars(attribution["days"]), DRAWN, "What holding cost, by cause")
    return element(
        "section",
        element("h2", "Why it changed"),
        element("p", text(_words(attribution)), class_="lead"),
        *(element("p", text(f"{line}."), class_="lead") for line in carry_words(carry)),
        element("figure", element("div", chart, class_="scroll chart")) if chart else "",
        element("div", table(heads, rows, total, texts=1, kind="cost"), class_="scroll"),
    )


def carry_words(carry: Mapping[str, Any] | None) -> list[str]:
    """What a year of holding the exposure costs, in sentences; nothing where nothing is held or known."""
    lines = []
    for one in carry["markets"] if carry is not None else ():
        held = f"{one['market']} at {figures.leverage(one['leverage'])}"
        if one["yearly"] is None:
            lines.append(f"Funding of {held}: not told here")
            continue
        if one["rate"] is None:
            continue
        rate = f"{figures.bps(Decimal(one['rate']) * 10_000, signed=True)} bps every {one['every_hours']} h"
        others = ", ".join(f"{other['market']} {figures.percent(other['yearly'])}" for other in one["others"])
        elsewhere = f"; the same there: {others}" if others else ""
        lines.append(f"Funding of {held}: {figures.percent(one['yearly'])} of NAV a year ({rate}){elsewhere}")
    return lines


def _words(attribution: Mapping[str, Any]) -> str:
    whole = attribution["total"]
    each = "" if whole["cost_per_unit"] is None else f", {figures.price(whole['cost_per_unit'])} a unit"
    said = f"Holding cost {figures.bps(whole['cost_bps'])} bps of mean equity{each}."
    if days := attribution["unexplained"]:
        said += f" More than 0.1 bps is unexplained on {', '.join(days[:5])}{' and other days' if len(days) > 5 else ''}."  # noqa: PLR2004 - a line
    return said


def _bars(days: list[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What each cause took, currency, by day, or by month where days would be too many."""
    length = len("2026-03-01") if len(days) <= MOST_BARS else len("2026-03")
    return {
        name: {part: -float(sum((Decimal(day[part]) for day in group), Decimal(0))) for part in DRAWN}
        for name, group in ((name, list(group)) for name, group in groupby(days, lambda day: day["name"][:length]))
    }
