"""The report: it stands alone, shows every fill, and writes nothing that could be taken for markup."""

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from keeper.domain.market import Side
from keeper.domain.order import ChildState
from keeper.domain.run import RunStatus
from keeper.service.documents import run_document
from keeper.service.report_charts import cost_bars, leverage_figure
from keeper.service.report_page import arrival_price, report_page
from keeper.service.svg import ticks, time_ticks
from tests.fakes.pages import read
from tests.fakes.run_history import DECIDED, History, Leg, history, unsent

D = Decimal
EVIL = "<script>alert('x')</script>\"&"

BTC = Leg()
THREE = (
    Leg(side=Side.SELL, before="1.4", after="1.1", slices=8),
    Leg(market="ETH/USDT:USDT", arrival=D("2683.41"), size=D("1.25"), spread_bps=D("1.8"), before="-0.9", after="-0.7391"),
    Leg(market="SOL/USDT:USDT", arrival=D("153.227"), size=D(31), slices=5, before="0.2", after="0.4"),
)
LOST = history(
    Leg(slices=8, states={8: ChildState.UNKNOWN}), status=RunStatus.INCOMPLETE, reason="the outcome of kpr1 is not known"
)
NONE_FILLED = history(Leg(slices=4, states=dict.fromkeys(range(1, 5), ChildState.CANCELED)), status=RunStatus.INCOMPLETE)
REFUSED = unsent(history(BTC, status=RunStatus.REFUSED, reason="too much", refusals=[("turnover", "over the day's limit")]))
PAGES = {
    "one-leg": history(BTC),
    "three-legs": history(*THREE),
    "one-order": history(Leg(slices=1)),
    "zero-fills": NONE_FILLED,
    "incomplete": LOST,
    "refused": REFUSED,
    "running": history(Leg(slices=2), status=RunStatus.RUNNING),
    "inverse": history(Leg(market="BTC/USD:BTC", size=D(100), scale=D("0.0019"))),
}


def page_of(past: History) -> str:
    document = run_document(past.run, past.children, past.fills, is_trading=False)
    return report_page(document, past.run.plan, past.children, past.fills)


@pytest.mark.parametrize("past", PAGES.values(), ids=PAGES.keys())
def test_a_page_stands_alone_and_is_well_formed(past: History) -> None:
    page = page_of(past)
    reader = read(page)
    assert not {tag for tag, _ in reader.seen} & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not [name for _, attributes in reader.seen for name in attributes if name.startswith("on") or name in ("src", "href")]
    assert not re.search(r"https?:|url\(|@import|//[a-z]", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    for drawing in re.findall(r"<svg.*?</svg>", page):
        ET.fromstring(drawing)  # noqa: S314 (our own page, made a line above)
        assert "nan" not in drawing


@pytest.mark.parametrize("past", PAGES.values(), ids=PAGES.keys())
def test_nothing_is_drawn_outside_its_drawing(past: History) -> None:
    for drawing in re.findall(r'<svg viewBox="0 0 960 [^>]*>.*?</svg>', page_of(past)):
        root = ET.fromstring(drawing)  # noqa: S314 (our own page)
        width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
        for item in root.iter():
            for name, limit in (("cx", width), ("x", width), ("x1", width), ("x2", width), ("cy", height), ("y", height)):
                assert 0 <= float(item.attrib.get(name, 0)) <= limit


@pytest.mark.parametrize("past", PAGES.values(), ids=PAGES.keys())
def test_every_fill_is_a_dot_and_every_empty_order_a_ring(past: History) -> None:
    reader = read(page_of(past))
    assert reader.count("circle", "dot") == len(past.fills)
    unfilled = sum(1 for child in past.children if not child.filled)
    legend = 1 if unfilled else 0
    assert reader.count("circle", "none") == unfilled + legend


def test_a_larger_fill_is_a_larger_dot() -> None:
    radii = {float(radius) for radius in re.findall(r'class="dot buy"[^>]* r="([0-9.]+)"', page_of(history(BTC)))}
    assert len(radii) == 2


def test_the_page_says_what_happened_and_what_it_cost() -> None:
    past = history(BTC)
    words = " ".join(read(page_of(past)).words)
    document = run_document(past.run, past.children, past.fills)
    assert "btc3l bought 0.478 BTC in 10 orders and went from 2.739x to 3.000x." in words
    for part in ("Delay", "Spread", "Impact", "Timing", "Fees", "Total", "Predicted, bps", "Realised, bps", "Realised, USDT"):
        assert part in words
    total = D(document["shortfall"]["total"])
    assert f"{total:.2f}" in words
    assert "planned 3.000x" in words
    assert "5.72 ± 3.10" in words
    assert all(child.request.client_id in words for child in past.children)
    for known in (past.run.id, past.run.plan["hash"], "00:15:04"):
        assert str(known) in words


def test_each_market_of_a_run_has_its_own_chart() -> None:
    page = page_of(history(*THREE))
    assert re.findall(r'aria-label="Fills of ([A-Z/:]+) over', page) == ["BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"]


def test_a_bad_end_is_said_in_a_banner_and_a_good_one_needs_none() -> None:
    assert 'class="banner"' not in page_of(history(BTC))
    assert "the outcome of kpr1 is not known" in page_of(LOST)
    refused = page_of(REFUSED)
    assert "<code>turnover</code> over the day&#x27;s limit" in refused
    assert "No order was sent on this market." in refused
    assert "process that worked on it is gone" in page_of(PAGES["running"])


def test_an_order_that_went_wrong_says_why() -> None:
    words = " ".join(read(page_of(LOST)).words)
    assert re.search(rf"{LOST.children[-1].request.client_id}\s+unknown: the reply was cut short", words)


def test_a_fee_that_nothing_prices_is_told() -> None:
    past = history(BTC)
    result = {**(past.run.result or {}), "unpriced_fees": {"BNB": "0.0123"}}
    assert "fees of 0.0123 BNB" in page_of(History(replace(past.run, result=result), past.children, past.fills))


def test_hostile_words_stay_words() -> None:
    past = history(Leg(market=f"{EVIL}/USDT"), status=RunStatus.INCOMPLETE, reason=EVIL, refusals=[(EVIL, EVIL)])
    plan = {**past.run.plan, "hash": EVIL, "reason": EVIL}
    children = tuple(replace(child, reason=EVIL, state=ChildState.UNKNOWN) for child in past.children)
    run = replace(past.run, id=EVIL, venue=EVIL, environment=EVIL, plan=plan)
    page = page_of(History(run, children, past.fills))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10
    read(page)


def test_a_page_is_the_same_every_time() -> None:
    assert page_of(history(*THREE)) == page_of(history(*THREE))


def test_a_decision_long_before_the_first_order_does_not_squeeze_the_chart() -> None:
    past = history(BTC)
    plan = {**past.run.plan, "at": (DECIDED - timedelta(hours=5)).isoformat()}
    late = History(replace(past.run, plan=plan), past.children, past.fills)
    assert ">20:00<" not in page_of(late)
    assert ">00:18<" in page_of(late)


def test_the_arrival_is_the_plans_mid_then_its_price_then_the_first_mid() -> None:
    past = history(BTC)
    leg = {"market": "BTC/USDT:USDT", "price": "52500"}
    assert arrival_price({"legs": [{**leg, "decision_mid": "52499"}]}, "BTC/USDT:USDT", past.children) == 52499
    assert arrival_price({"legs": [leg]}, "BTC/USDT:USDT", past.children) == 52500
    assert arrival_price({}, "BTC/USDT:USDT", past.children) == past.children[0].mid


def test_a_gain_lies_left_of_zero() -> None:
    figure = cost_bars({"delay": D(-2), "fees": D(5)}, {}, None)
    zero = float(re.findall(r'class="axis" x1="([0-9.]+)"', figure)[0])
    left = {name: float(x) for name, x in re.findall(r'<rect class="(\w+)" x="([0-9.]+)"', figure)}
    assert left["delay"] < zero == left["fees"]


def test_the_labels_of_close_leverages_stand_apart() -> None:
    assert leverage_figure(None, None, None) == ""
    assert "before and after 2.739x" in leverage_figure("2.7391", "2.7392", "3")
    near = leverage_figure("2.95", "2.96", "3.5")
    assert re.findall(r'text-anchor="(end|start)">(before|after)', near) == [("end", "before"), ("start", "after")]


@pytest.mark.parametrize(
    ("low", "high", "expected", "decimals"),
    [
        (52_487.0, 52_538.0, [52_490, 52_500, 52_510, 52_520, 52_530], 0),
        (0.01161, 0.01169, [0.01162, 0.01164, 0.01166, 0.01168], 5),
        (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1], 1),
        (0.0, 15.0, [0, 2.5, 5, 7.5, 10, 12.5, 15], 1),
    ],
)
def test_axes_carry_round_numbers(low: float, high: float, expected: list[float], decimals: int) -> None:
    numbers, places = ticks(low, high, 5)
    assert numbers == pytest.approx(expected)
    assert places == decimals


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (timedelta(seconds=30), ["00:15:00", "00:15:05", "00:15:10", "00:15:15", "00:15:20", "00:15:25", "00:15:30"]),
        (timedelta(minutes=10), ["00:16", "00:18", "00:20", "00:22", "00:24"]),
        (timedelta(hours=9), ["02:00", "04:00", "06:00", "08:00"]),
    ],
)
def test_time_axes_carry_round_instants(span: timedelta, labels: list[str]) -> None:
    assert [words for _, words in time_ticks(DECIDED, DECIDED + span, 7)] == labels


def test_a_page_says_what_its_run_was_asked_for() -> None:
    past = history(BTC)
    asked = replace(past, run=replace(past.run, plan={**past.run.plan, "asked": f"gross leverage is 4.1x {EVIL}"}))
    assert "Asked for: gross leverage is 4.1x &lt;script&gt;" in page_of(asked)
    assert "Asked for" not in page_of(past)
