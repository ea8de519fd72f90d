"""The report as a browser shows it: the dots and the table are there, and it is readable by day and by night."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from keeper.service.report_style import STYLE
from tests.fakes.chromium import Chromium, Colour
from tests.fakes.command_line import Demo

WIDTH, HEIGHT = 1000, 1000
CHANNELS = re.compile(r"--(paper|ink|buy|mid): #([0-9a-f]{6});")
LOUD_ENOUGH = 50
"""Pixels of one colour that antialiasing alone would not leave."""


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    program = shutil.which("chromium")
    if program is None and os.environ.get("CI"):
        pytest.fail("chromium is not installed, and where CI is set every page is looked at: apt-get install chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium, and the pages are looked at")
    return Chromium(program, tmp_path_factory.mktemp("chromium"))


@pytest.fixture
def page(demos: Mapping[str, Demo]) -> Path:
    return demos["plain"].folder / "report.html"


@pytest.fixture
def run(demos: Mapping[str, Demo]) -> dict[str, Any]:
    return demos["plain"].ended.document


def test_every_fill_is_a_dot_and_every_order_a_row(chromium: Chromium, page: Path, run: dict[str, Any]) -> None:
    dom = chromium.dom(page)
    dots = dom.of("circle", "dot", "buy")
    assert len(dots) == len(run["fills"])
    assert sorted(re.findall(r"buy ([0-9.]+) contracts", " ".join(dot.text for dot in dots))) == sorted(
        fill["amount"] for fill in run["fills"]
    )
    [orders] = dom.of("table", "orders")
    assert all(child["client_id"] in orders.text for child in run["children"])
    [cost] = dom.of("table", "cost")
    assert all(part in cost.text for part in ("Delay", "Spread", "Impact", "Timing", "Fees", "Total"))
    [headline] = dom.of("h1")
    assert f"in {len(run['children'])} orders" in headline.text
    assert not dom.of("script")


@pytest.mark.parametrize("dark", [False, True], ids=["by day", "by night"])
def test_the_page_is_painted(chromium: Chromium, page: Path, *, dark: bool) -> None:
    picture = chromium.picture(page, WIDTH, HEIGHT, dark=dark)
    assert (picture.width, len(picture.rows)) == (WIDTH, HEIGHT)
    wanted = palette(dark=dark)
    colours = picture.colours()
    assert picture.at(2, 2) == wanted["paper"]
    assert colours.most_common(1)[0][0] == wanted["paper"]
    assert colours[wanted["paper"]] < 0.99 * WIDTH * HEIGHT
    for name in ("ink", "mid"):
        assert colours[wanted[name]] > LOUD_ENOUGH, name
    # dots let a little of the paper through
    assert any(count > LOUD_ENOUGH and near(colour, wanted["buy"]) for colour, count in colours.items())
    assert len(colours) > LOUD_ENOUGH


def palette(*, dark: bool) -> dict[str, Colour]:
    """The colours that the stylesheet names, by name."""
    day, night = STYLE.split("prefers-color-scheme: dark")[:2]
    found = CHANNELS.findall(night if dark else day)
    return {name: (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for name, code in found}


def near(colour: Colour, wanted: Colour) -> bool:
    return all(abs(one - other) < 40 for one, other in zip(colour, wanted, strict=True))
