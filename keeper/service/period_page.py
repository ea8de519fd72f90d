"""A period of one fund as one HTML page: worth against ideal and market, leverage, cost by cause, every run.

Like the report of a run it stands alone: inline style and drawings, no script, nothing fetched.
"""

from collections.abc import Mapping
from typing import Any

from keeper.service import figures
from keeper.service.causes_page import causes_section
from keeper.service.documents import PARTS
from keeper.service.page import cell, fact, page, table
from keeper.service.period_charts import cost_chart, leverage_chart, worth_chart
from keeper.service.svg import element, text

_MOST_ROWS = 400
"""Runs that the page lists; the CSV has them all."""


def period_page(document: Mapping[str, Any], name: str) -> str:
    """The whole page. document: of ``period_document``; name: of the period, as it was asked for."""
    title = f"{document['fund']}, {name}"
    body = (
        _header(document, title),
        _drawn("Worth", "What 100 became since the first run of the period.", worth_chart(document["rows"])),
        _drawn("Leverage", "Net, before and after each run.", leverage_chart(document["rows"])),
        causes_section(document["attribution"], document["currency"] or "", document["carry"]),
        _costs(document),
        _runs(document),
        element("footer", element("p", "Funding is not part of the cost of a run. Keeper.")),
    )
    return page(title, body)


def _header(document: Mapping[str, Any], title: str) -> str:
    currency, tracking = document["currency"] or "", document["tracking"] or {}
    when = f"{figures.moment(document['start'])} to {figures.moment(document['end'])}" if document["rows"] else "no run in it"
    facts = [
        (f"NAV, {currency}", figures.money(document["nav_last"]), f"from {figures.money(document['nav_first'])}"),
        (f"Paid in, {currency}", figures.money(document["flows"]), "less paid out"),
        ("Fund", figures.percent(tracking.get("fund")), ""),
        ("Ideal multiple", figures.percent(tracking.get("ideal")), ""),
        *((figures.base_asset(market), figures.percent(move), "") for market, move in tracking.get("underlying", {}).items()),
        ("Difference, bps", figures.bps(tracking.get("difference_bps"), signed=True), "fund less ideal"),
        ("Tracking error", figures.percent(tracking.get("error")), "a year"),
        ("Path", figures.percent(tracking.get("path")), "what turning, or trending, made"),
        ("Cost, bps of NAV", figures.bps(document["cost_bps"]["total"]), figures.money(document["cost"]["total"], currency)),
        ("Turnover", figures.leverage(document["turnover"]), "of mean NAV"),
    ]
    counts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in document["runs"].items())
    return element(
        "header",
        element("div", element("span", text(when)), class_="over"),
        element("h1", text(title)),
        element("p", text(f"Runs: {counts}." if counts else "Nothing was run."), class_="lead"),
        element("dl", *(fact(*one) for one in facts), class_="facts"),
    )


def _drawn(heading: str, words: str, chart: str) -> str:
    if not chart:
        return ""
    drawn = element("figure", element("div", chart, class_="scroll chart"))
    return element("section", element("h2", heading), element("p", text(words), class_="lead"), drawn)


def _costs(document: Mapping[str, Any]) -> str:
    rows = [
        element(
            "tr",
            element("th", element("span", class_=f"chip {part}"), text(part.capitalize()), scope="row"),
            cell(figures.bps(document["cost_bps"][part])),
            cell(figures.money(document["cost"][part])),
        )
        for part in PARTS
    ]
    total = element(
        "tr",
        element("th", "Total", scope="row"),
        cell(figures.bps(document["cost_bps"]["total"])),
        cell(figures.money(document["cost"]["total"])),
    )
    heads = ("Part", "Bps of mean NAV", document["currency"] or "")
    chart = cost_chart(document["rows"])
    return element(
        "section",
        element("h2", "Cost of trading"),
        element("figure", element("div", chart, class_="scroll chart")) if chart else "",
        element("div", table(heads, rows, total, texts=1, kind="cost"), class_="scroll"),
    )


def _runs(document: Mapping[str, Any]) -> str:
    if not document["rows"]:
        return ""
    heads = ("Run", "Began, UTC", "Status", "NAV", "Leverage", "Traded", "Cost", "Fund", "Ideal", "Bps apart")
    shown = document["rows"][-_MOST_ROWS:]
    left = len(document["rows"]) - len(shown)
    note = f"The last {len(shown):,} of {len(document['rows']):,}; `--csv` writes them all." if left else ""
    return element(
        "section",
        element("h2", "Runs"),
        element("p", text(note), class_="lead") if note else "",
        element("div", table(heads, [_row(row) for row in shown], "", texts=3, kind="orders"), class_="scroll"),
    )


def _row(row: Mapping[str, Any]) -> str:
    way = f"{figures.leverage(row['leverage_before'])} to {figures.leverage(row['leverage_after'])}"
    return element(
        "tr",
        element("td", element("code", text(row["run"]))),
        element("td", text(figures.moment(row["at"], "%Y-%m-%d %H:%M"))),
        element("td", text(row["status"].replace("_", " "))),
        *(
            cell(words)
            for words in (
                figures.money(row["nav"]),
                way,
                figures.money(row["traded"]),
                figures.money(row["cost"]),
                figures.percent(row["fund_return"]),
                figures.percent(row["ideal_return"]),
                figures.bps(row["difference_bps"], signed=True),
            )
        ),
    )
