"""`keeper demo`: what a stranger sees first, and that every command works afterwards on what it left."""

import json
import re
import shutil
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command_line import CommandLine, Demo
from tests.fakes.documents import assert_plain, assert_run
from tests.fakes.tampering import alter, ask

LOT = Decimal("0.001")
AMOUNTS = (
    *("nav_before", "nav_after", "leverage_before", "leverage_after", "gross_leverage_before", "gross_leverage_after"),
    *("filled_notional", "fees"),
)
Demos = Mapping[str, Demo]


def test_it_brings_the_fund_back_with_at_least_eight_children_and_shows_the_way(demos: Demos, keeper_here: CommandLine) -> None:
    demo = demos["told"]
    assert demo.ended.code == 0
    told = demo.ended.out
    run = only_run(demo, keeper_here)
    assert len(run["children"]) >= 8
    assert all(child["state"] == "filled" for child in run["children"])
    [leg] = run["legs"]
    assert abs(Decimal(leg["gap"])) < LOT
    assert abs(Decimal(run["leverage_after"]) - 3) < Decimal("0.001")
    # the plan, a line of progress for each slice, the cost, the page, three commands
    assert "leverage 2.739x net" in told
    assert "Estimated cost" in told
    for number in range(1, len(run["children"]) + 1):
        assert f"slice {number}/10" in told
    assert "went from 2.739x to 3.000x" in told
    assert f"The report is {demo.folder / 'report.html'}" in told
    assert (demo.folder / "report.html").is_file()
    assert {path.name for path in demo.folder.parent.iterdir()} == set(demos)


def test_the_three_commands_that_it_names_are_the_ones_to_try(demos: Demos, keeper_here: CommandLine) -> None:
    named = [line.split() for line in demos["told"].ended.out.split("Try next:\n")[1].splitlines()]
    assert named[:2] == [["keeper", "demo", "--move", "-4%"], ["keeper", "demo", "--target", "-2"]]
    [(name, *words)] = named[2:]
    assert name == "keeper"
    tried = keeper_here(*words)
    assert tried.code == 0
    assert "3.000x" in tried.out


def test_its_page_needs_nothing_else(demos: Demos, keeper_here: CommandLine) -> None:
    page = (demos["told"].folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") >= 3
    assert not re.findall(r"<(?:script|link|img|iframe|object|embed)\b|\b(?:src|href|srcset|action)\s*=|url\(|@import|//", page)
    run = only_run(demos["told"], keeper_here)
    assert page.count('class="dot buy"') == len(run["fills"])
    for child in run["children"]:
        assert child["client_id"] in page


@pytest.mark.parametrize("name", ["plain", "fall", "short"])
def test_json_is_one_document_of_the_documented_shape(demos: Demos, keeper_here: CommandLine, name: str) -> None:
    demo = demos[name]
    assert demo.ended.code == 0, demo.ended.err
    run = demo.ended.document
    assert_run(run)
    assert run["status"] == "completed"
    assert len(run["children"]) >= 8
    assert abs(Decimal(run["legs"][0]["gap"])) < LOT
    assert run == only_run(demo, keeper_here)
    assert "Try next" in demo.ended.err


def test_move_and_target_change_every_figure(demos: Demos) -> None:
    plain, fall, short = (figures(demos[name].ended.document) for name in ("plain", "fall", "short"))
    for key in plain:
        assert len({plain[key], fall[key], short[key]}) == 3, key
    assert fall["leverage_before"].startswith("3.27272")
    assert short["leverage_before"].startswith("-2.333")
    assert Decimal(short["leverage_after"]) == pytest.approx(-2, abs=Decimal("0.001"))
    assert (demos["fall"].ended.document["legs"][0]["side"], demos["short"].ended.document["legs"][0]["side"]) == ("sell", "buy")


def test_the_same_seed_gives_the_same_fills(demos: Demos, keeper_here: CommandLine) -> None:
    def trades(run: dict[str, Any]) -> list[tuple[str, str, str]]:
        return [(fill["amount"], fill["price"], fill["fee"]) for fill in run["fills"]]

    told, plain = only_run(demos["told"], keeper_here), only_run(demos["plain"], keeper_here)
    assert trades(told) == trades(plain)
    assert figures(told) == figures(plain)
    assert told["run"] != plain["run"]


def test_it_refuses_to_write_over_an_earlier_one(demos: Demos, keeper_here: CommandLine) -> None:
    folder = demos["plain"].folder
    before = (folder / "keeper.db").read_bytes()
    ended = keeper_here("demo", "--dir", str(folder))
    assert ended.code == 64
    [said] = ended.said
    assert str(folder) in said
    assert (folder / "keeper.db").read_bytes() == before


@pytest.mark.parametrize(
    "option", [("--move", "60%"), ("--move", "much"), ("--target", "0"), ("--target", "30"), ("--target", "3_0")]
)
def test_an_option_that_makes_no_sense_is_refused_before_anything_is_written(
    tmp_path: Path, keeper_here: CommandLine, option: tuple[str, str]
) -> None:
    ended = keeper_here("demo", "--dir", str(tmp_path / "demo"), *option)
    assert ended.code == 64
    [said] = ended.said
    assert option[0] in said
    assert option[1].removesuffix("%") in said
    assert not (tmp_path / "demo" / "keeper.db").exists()


def test_every_reading_command_works_on_what_it_left(demos: Demos, tmp_path: Path, keeper_here: CommandLine) -> None:
    demo = demos["told"]
    config, run = demo.config, only_run(demo, keeper_here)["run"]
    status = keeper_here(*config, "status", "--json")
    assert status.code == 0
    assert_plain(status.document)
    [fund] = status.document["funds"]
    assert (fund["fund"], fund["state"], fund["last_run"]["run"]) == ("btc", "idle", run)
    assert fund["next_slot"]["utc"].endswith("00:15:00+00:00")
    listed = keeper_here(*config, "runs", "list", "--json")
    assert [one["run"] for one in listed.document["runs"]] == [run]
    assert keeper_here(*config, "runs", "list", "--fund", "other", "--json").document == {"runs": []}
    for words in (("status",), ("runs", "list"), ("runs", "show", run), ("config", "show"), ("db", "verify"), ("db", "upgrade")):
        told = keeper_here(*config, *words)
        assert told.code == 0, told.err
        assert told.out.strip()
    page = tmp_path / "again.html"
    assert keeper_here(*config, "report", run, "--html", str(page)).code == 0
    assert page.read_text() == (demo.folder / "report.html").read_text()
    unknown = keeper_here(*config, "runs", "show", "btc-none")
    assert (unknown.code, unknown.out) == (64, "")
    assert "btc-none" in unknown.err


def test_its_configuration_is_sound_and_says_where_each_value_is_from(demos: Demos, keeper_here: CommandLine) -> None:
    file = demos["told"].folder / "keeper.toml"
    checked = keeper_here(*demos["told"].config, "config", "check")
    assert (checked.code, checked.err) == (0, "")
    rows = keeper_here(*demos["told"].config, "config", "show", "--json").document["settings"]
    by_key = {row["key"]: row for row in rows}
    line = 1 + file.read_text().splitlines().index("seed = 7")
    assert by_key["venues.sim.feed.seed"] == {"key": "venues.sim.feed.seed", "value": 7, "source": f"{file}:{line}"}
    assert by_key["funds.btc.bands.deadband"]["source"] == "default"
    schema = keeper_here("config", "schema")
    assert schema.code == 0
    assert set(json.loads(schema.out)["properties"]) == {"keeper", "venues", "funds"}


# what an intruder does with the events numbered 5 and 6, and the events that must be named
ALTERATIONS = {
    "update": ([("UPDATE events SET payload = '{}' WHERE seq = 5", ())], {5}),
    "another time": ([("UPDATE events SET at = '2020-01-01T00:00:00.000000+00:00' WHERE seq = 6", ())], {6}),
    "delete": ([("DELETE FROM events WHERE seq = 5", ())], {5}),
    "delete the last": ([("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)", ())], {0}),
    "swap": (
        [
            ("UPDATE events SET seq = -1 WHERE seq = 5", ()),
            ("UPDATE events SET seq = 5 WHERE seq = 6", ()),
            ("UPDATE events SET seq = 6 WHERE seq = -1", ()),
        ],
        {5, 6},
    ),
    "a fill's price": ([("UPDATE fills SET price = '1' WHERE position = 1", ())], set()),
}


@pytest.mark.parametrize(("statements", "named"), ALTERATIONS.values(), ids=ALTERATIONS)
def test_db_verify_names_what_was_altered(
    demos: Demos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keeper_here: CommandLine,
    statements: list[tuple[str, tuple[object, ...]]],
    named: set[int],
) -> None:
    journal = tmp_path / "keeper.db"
    shutil.copy(demos["told"].folder / "keeper.db", journal)
    monkeypatch.setenv("KEEPER__KEEPER__JOURNAL", f"sqlite:///{journal}")
    verify = (*demos["told"].config, "db", "verify")
    assert keeper_here(*verify).code == 0
    [(count,)] = ask(journal, "SELECT max(seq) FROM events")
    alter(journal, *statements)
    told = keeper_here(*verify, "--json")
    assert told.code == 73
    faults = {fault["seq"] for fault in told.document["faults"]}
    assert faults
    assert {count if seq == 0 else seq for seq in named} <= faults
    printed = keeper_here(*verify)
    assert printed.code == 73
    for seq in faults:
        assert f"event {seq}: " in printed.out


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_db_verify_of_no_journal_says_that_there_is_none(
    tmp_path: Path, keeper_here: CommandLine, options: tuple[str, ...]
) -> None:
    assert keeper_here("init").code == 0
    told = keeper_here("db", "verify", *options)
    assert (told.code, told.out) == (73, "")
    [said] = told.said
    assert f"journal {tmp_path / 'var' / 'keeper.db'}: there is no journal to verify" in said


def only_run(demo: Demo, keeper_here: CommandLine) -> dict[str, Any]:
    """The one run in the demo's journal."""
    [listed] = keeper_here(*demo.config, "runs", "list", "--json").document["runs"]
    return keeper_here(*demo.config, "runs", "show", listed["run"], "--json").document


def figures(run: dict[str, Any]) -> dict[str, str]:
    """The amounts of a run: whatever is not a rate, which may well be the same for another market."""
    [leg] = run["legs"]
    return {
        **{key: run[key] for key in AMOUNTS},
        **{key: leg[key] for key in ("planned", "traded", "notional_traded")},
        **{key: run["shortfall"][key] for key in ("total", "spread", "timing", "fees", "total_bps", "timing_bps")},
    }
