"""One run as one HTML page: what happened, what it cost, every order. For reading, keeping and forwarding.

The page stands alone: inline style and drawings, no script, nothing fetched; a content policy in it says so to the
browser. It is made from documents and journal values only, and everything written into it is escaped.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from keeper.domain.market import Side
from keeper.domain.numbers import ZERO, exact
from keeper.domain.order import Child, ChildState, Fill, average_price
from keeper.service import figures
from keeper.service.documents import PARTS
from keeper.service.page import cell, fact, page, table
from keeper.service.report_charts import LegPicture, cost_bars, leg_chart, leverage_figure
from keeper.service.svg import element, text

_MEANING = {
    "delay": "the market moved before the first order",
    "spread": "half the spread, paid for taking",
    "impact": "fills beyond the best price",
    "timing": "the market moved while the leg was worked",
    "fees": "paid to the venue",
}
_GOOD = ("completed", "nothing_due")
_LEGEND = (
    ("mid", '<svg viewBox="0 0 28 12"><path class="mid" d="M0 9L12 4L28 7"/></svg>'),
    ("spread", '<svg viewBox="0 0 28 12"><rect class="band" width="28" height="12"/></svg>'),
    ("arrival price", '<svg viewBox="0 0 28 12"><path class="arrival" d="M0 6L28 6"/></svg>'),
)


def report_page(
    document: Mapping[str, Any],
    plan: Mapping[str, Any],
    children: Sequence[Child],
    fills: Sequence[tuple[str, Fill]],
) -> str:
    """The whole page. document: of ``run_document``; plan: its plan document; children and fills: as the journal has them."""
    title = figures.headline(document)
    body = (
        _header(document, plan, title),
        _banner(document, plan),
        _leverage(document, plan),
        *(_market(market, document, plan, children, fills) for market in _markets(plan, children)),
        _cost(document, plan),
        _orders(children),
        _footer(document, plan),
    )
    return page(title, body)


def arrival_price(plan: Mapping[str, Any], market: str, children: Sequence[Child]) -> Decimal:
    """The price that a market's fills are held against: the plan's, else the mid at its first order (of which there is one)."""
    planned = next((leg.get("decision_mid") or leg.get("price") for leg in plan.get("legs", ()) if leg["market"] == market), None)
    return Decimal(planned) if planned is not None else children[0].mid


def _counts_quote(symbol: str) -> bool:
    """Whether a symbol is an inverse market, whose contracts count quote: it settles in its base."""
    return symbol.partition(":")[2].partition("-")[0] == figures.base_asset(symbol)


def _header(document: Mapping[str, Any], plan: Mapping[str, Any], title: str) -> str:
    status = document["status"]
    pills = (
        _span(status.replace("_", " "), "pill good" if status in _GOOD else "pill warn"),
        _span(document["environment"], "pill"),
        _span(f"{document['fund']} on {document['venue']}"),
        _span(_when(document)),
    )
    before, after, currency = document["nav_before"] or plan.get("nav"), document["nav_after"], document["currency"]
    shortfall = document["shortfall"] or {}
    facts = (
        (
            f"NAV, {currency}",
            figures.money(after or before),
            _unless_unknown("from {}", before if after else None, figures.money),
        ),
        *([("NAV per unit", figures.price(per_unit), "")] if (per_unit := document["nav_per_unit"]) is not None else []),
        ("Leverage", *_way(document["leverage_before"], document["leverage_after"])),
        ("Gross leverage", *_way(document["gross_leverage_before"], document["gross_leverage_after"])),
        (f"Traded, {currency}", figures.money(document["filled_notional"]), f"in {figures.orders(len(document['children']))}"),
        (
            "Cost, bps",
            figures.bps(shortfall.get("total_bps")),
            _unless_unknown(f"{{}} {currency}", shortfall.get("total"), figures.money),
        ),
        (f"Fees, {currency}", figures.money(document["fees"]), _unless_unknown("{} bps", shortfall.get("fee_bps"), figures.bps)),
    )
    return element(
        "header",
        element("div", *pills, class_="over"),
        element("h1", f"{text(title)}."),
        element("p", text(f"Why: {plan['reason']}."), class_="lead") if plan.get("reason") else "",
        element("dl", *(fact(*one) for one in facts), class_="facts"),
    )


def _when(document: Mapping[str, Any]) -> str:
    started, ended = document["started_at"], document["ended_at"]
    if ended is None:
        return f"{figures.moment(started)}, not ended"
    same_day = started[:10] == ended[:10]
    until = figures.moment(ended, "%H:%M:%S UTC" if same_day else "%Y-%m-%d %H:%M:%S UTC")
    span = figures.duration(datetime.fromisoformat(ended) - datetime.fromisoformat(started))
    return f"{figures.moment(started, '%Y-%m-%d %H:%M:%S')} to {until} ({span})"


def _banner(document: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    refusals = plan.get("refusals") or ()
    status = document["status"]
    if status in _GOOD and not refusals:
        return ""
    said = element("strong", text(status.replace("_", " ").capitalize()))
    why = figures.why(document)
    reason = f": {text(why)}." if why else "."
    codes = [element("li", element("code", text(refusal["code"])), " ", text(refusal["message"])) for refusal in refusals]
    return element("div", said, reason, element("ul", *codes) if codes else "", class_="banner", role="status")


def _leverage(document: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    before = document["leverage_before"] or plan.get("leverage")
    figure = leverage_figure(before, document["leverage_after"], _planned_leverage(plan))
    return element("section", element("h2", "Leverage"), element("figure", figure, class_="scroll chart")) if figure else ""


@exact
def _planned_leverage(plan: Mapping[str, Any]) -> str | None:
    """Net leverage once every leg is done."""
    if plan.get("leverage") is None:
        return None
    moves = (Decimal(leg["leverage_after"]) - Decimal(leg["leverage_before"]) for leg in plan.get("legs", ()))
    return str(Decimal(plan["leverage"]) + sum(moves, ZERO))


def _markets(plan: Mapping[str, Any], children: Sequence[Child]) -> list[str]:
    planned = [str(leg["market"]) for leg in plan.get("legs", ())]
    return list(dict.fromkeys([*planned, *(child.request.symbol for child in children)]))


def _market(
    market: str,
    document: Mapping[str, Any],
    plan: Mapping[str, Any],
    children: Sequence[Child],
    fills: Sequence[tuple[str, Fill]],
) -> str:
    own = [child for child in children if child.request.symbol == market]
    filled = [pair for pair in fills if pair[1].symbol == market]
    legs = [leg for leg in document["legs"] or plan.get("legs", ()) if leg["market"] == market]
    heading = element("h2", text(market))
    if not own:
        return element("section", heading, element("p", "No order was sent on this market.", class_="quiet"))
    arrival = arrival_price(plan, market, own)
    decided = datetime.fromisoformat(plan.get("at") or document["started_at"])
    picture = LegPicture(market=market, children=own, fills=filled, arrival=arrival, decided_at=decided)
    chart = element("div", leg_chart(picture), class_="scroll chart")
    filled_now = sum((child.filled for child in own), ZERO)
    facts = [one for leg in legs for one in _leg_facts(leg, filled_now)] + _price_facts([fill for _, fill in filled], arrival)
    return element(
        "section",
        heading,
        element("dl", *(fact(*one) for one in facts), class_="facts small"),
        element("figure", chart, _legend(own)),
    )


def _leg_facts(leg: Mapping[str, Any], filled: Decimal) -> list[tuple[str, str, str]]:
    planned = leg.get("planned") or leg.get("amount")
    way = f"{figures.leverage(leg['leverage_before'])} to {figures.leverage(leg['leverage_after'])}"
    done = f"{figures.amount(leg.get('traded') or filled)} of {figures.amount(planned)}"
    return [
        (f"{str(leg['side']).capitalize()}, contracts", done, ""),
        ("Leverage" if "traded" in leg else "Planned leverage", way, ""),
    ]


def _price_facts(fills: Sequence[Fill], arrival: Decimal) -> list[tuple[str, str, str]]:
    average = average_price(fills, inverse=_counts_quote(fills[0].symbol)) if fills else None
    facts = [("Arrival price", figures.price(arrival), ""), ("Average price", figures.price(average), "")]
    if average is not None:
        worse = figures.against(average, arrival, fills[0].side.sign)
        facts.append(("Against arrival", f"{figures.bps(worse, signed=True)} bps", ""))
    return facts


def _legend(children: Sequence[Child]) -> str:
    entries = [element("span", drawing, words) for words, drawing in _LEGEND]
    for side in Side:
        if any(child.request.side is side and child.filled for child in children):
            dot = f'<svg viewBox="0 0 28 12"><circle class="{side}" cx="14" cy="6" r="5"/></svg>'
            entries.append(element("span", dot, f"{side} fill, area by amount"))
    if any(not child.filled for child in children):
        entries.append(
            element("span", '<svg viewBox="0 0 28 12"><circle class="none" cx="14" cy="6" r="5"/></svg>', "nothing filled")
        )
    return element("figcaption", *entries)


def _cost(document: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    cost, shortfall = plan.get("cost") or {}, document["shortfall"] or {}
    if not cost and not shortfall:
        return ""
    predicted = {part: Decimal(cost[_key(part)]) for part in PARTS if cost.get(_key(part)) is not None}
    realised = {part: Decimal(shortfall[_key(part)]) for part in PARTS if shortfall.get(_key(part)) is not None}
    band = figures.number(cost.get("band_bps"))
    rows = [_cost_row(part, cost, shortfall) for part in PARTS]
    margin = f" \N{PLUS-MINUS SIGN} {figures.bps(band)}" if band is not None else ""
    total = element(
        "tr",
        element("th", "Total", scope="row"),
        cell(f"{figures.bps(cost.get('total_bps'))}{margin}"),
        cell(figures.bps(shortfall.get("total_bps"))),
        cell(figures.money(shortfall.get("total"))),
    )
    heads = ("Part", "Predicted, bps", "Realised, bps", f"Realised, {document['currency']}")
    note = "Against the mid at the decision, in basis points of the notional traded there. A cost is positive, a gain negative."
    return element(
        "section",
        element("h2", "Cost"),
        element("p", text(note), class_="lead"),
        element("figure", cost_bars(realised, predicted, band), class_="scroll chart"),
        element("div", table(heads, rows, total, texts=1, kind="cost"), class_="scroll"),
        *(
            element(
                "p", text(f"Not valued, and in none of these figures: fees of {figures.amount(fee)} {asset}."), class_="quiet"
            )
            for asset, fee in document["unpriced_fees"].items()
        ),
    )


def _cost_row(part: str, cost: Mapping[str, Any], shortfall: Mapping[str, Any]) -> str:
    chip = element("span", class_=f"chip {part}")
    name = element("th", chip, text(part.capitalize()), element("small", text(_MEANING[part])), scope="row")
    cells = (figures.bps(cost.get(_key(part))), figures.bps(shortfall.get(_key(part))), figures.money(shortfall.get(part)))
    return element("tr", name, *(cell(one) for one in cells))


def _orders(children: Sequence[Child]) -> str:
    if not children:
        return ""
    heads = ("Order", "Sent, UTC", "Market", "State", "Side", "Contracts", "Filled", "Limit", "Average", "Bps to mid")
    rows = [_order_row(child) for child in children]
    explained = [
        element("li", element("code", text(child.request.client_id)), f" {text(_state(child))}: {text(child.reason)}")
        for child in children
        if child.reason
    ]
    return element(
        "section",
        element("h2", "Orders"),
        element("div", table(heads, rows, "", texts=5, kind="orders"), class_="scroll"),
        element("ul", *explained, class_="quiet") if explained else "",
    )


def _state(child: Child) -> str:
    return child.state.replace("_", " ")


def _order_row(child: Child) -> str:
    request = child.request
    worse = figures.against(child.average, child.mid, request.side.sign) if child.average is not None else None
    odd = child.state in (ChildState.UNKNOWN, ChildState.INTENT, ChildState.REJECTED, ChildState.NOT_PLACED)
    state = element("td", text(_state(child)), **({"class_": "odd"} if odd else {}))
    return element(
        "tr",
        element("td", element("code", text(request.client_id))),
        element("td", text(child.at.strftime("%H:%M:%S"))),
        element("td", text(request.symbol)),
        state,
        element("td", text(request.side), class_=f"{request.side}s"),
        *(
            cell(one)
            for one in (
                figures.amount(request.amount),
                figures.amount(child.filled),
                figures.price(request.price),
                figures.price(child.average),
                figures.bps(worse, signed=True),
            )
        ),
    )


def _footer(document: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    times = (
        ("Decided", plan.get("at")),
        ("started", document["started_at"]),
        ("ended", document["ended_at"]),
        ("plan expires", plan.get("expires_at")),
    )
    return element(
        "footer",
        element(
            "p", "Run ", element("code", text(document["run"])), ", triggered by ", element("code", text(document["trigger"]))
        ),
        element("p", text(f"Asked for: {document['asked']}")) if document["asked"] else "",
        element("p", "Plan ", element("code", text(str(plan["hash"])))) if plan.get("hash") else "",
        element("p", text(", ".join(f"{name} {figures.moment(at)}" for name, at in times if at))),
        element("p", "Funding is not part of the cost of a run. Keeper."),
    )


def _key(part: str) -> str:
    return "fee_bps" if part == "fees" else f"{part}_bps"


def _span(words: str, kind: str = "") -> str:
    return element("span", text(words), **({"class_": kind} if kind else {}))


def _way(before: str | None, after: str | None) -> tuple[str, str]:
    return figures.leverage(after), _unless_unknown("from {}", before, figures.leverage)


def _unless_unknown(words: str, figure: str | None, shown: Callable[[str], str]) -> str:
    return words.format(shown(figure)) if figure is not None else ""
