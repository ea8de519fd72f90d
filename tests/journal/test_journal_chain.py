"""Whatever is altered, removed or swapped behind Keeper's back, verify names it."""

import shutil
import tempfile
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.journal.audit import BOOKED
from keeper.journal.events import digest
from tests.fakes.tampering import HISTORY, alter, ask, verdict, write_history

COUNT = len(HISTORY)
FIELDS = ("at", "kind", "fund", "run", "payload", "previous", "hash")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "keeper.db"
    write_history(path)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "keeper.db"))


def seqs(path: Path) -> list[int]:
    return [fault.seq for fault in verdict(path)]


def test_an_untouched_journal_holds(path: Path) -> None:
    assert [kind for (kind,) in ask(path, "SELECT kind FROM events ORDER BY seq")] == list(HISTORY)
    assert verdict(path) == ()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("seq", range(1, COUNT + 1))
def test_an_altered_event_is_named_and_no_other(path: Path, seq: int, field: str) -> None:
    alter(path, (f"UPDATE events SET {field} = {field} || ' ' WHERE seq = ?", (seq,)))  # noqa: S608 - a table of columns
    assert seqs(path) == [seq]


@settings(max_examples=60, deadline=None)
@given(
    seq=st.integers(1, COUNT),
    field=st.sampled_from(FIELDS),
    value=st.text(st.characters(exclude_categories=["Cs"])) | st.binary() | st.integers(-5, 5) | st.floats(allow_nan=False),
)
def test_no_value_of_any_type_passes_for_the_one_that_was_written(original: Path, seq: int, field: str, value: object) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(shutil.copy(original, Path(directory) / "keeper.db"))
        before = ask(path, f"SELECT {field} FROM events WHERE seq = {seq}")  # noqa: S608 - a table of columns
        alter(path, (f"UPDATE events SET {field} = ? WHERE seq = ?", (value, seq)))  # noqa: S608 - a table of columns
        after = ask(path, f"SELECT {field} FROM events WHERE seq = {seq}")  # noqa: S608 - a table of columns
        assert seqs(path) == ([] if before == after else [seq])


def test_text_that_is_no_text_is_named(path: Path) -> None:
    alter(path, ("UPDATE events SET payload = CAST(x'ff7bfe' AS TEXT) WHERE seq = 5", ()))
    assert seqs(path) == [5]


@pytest.mark.parametrize("seq", range(1, COUNT + 1))
def test_a_removed_event_is_named(path: Path, seq: int) -> None:
    alter(path, ("DELETE FROM events WHERE seq = ?", (seq,)))
    assert [(fault.seq, fault.what) for fault in verdict(path)] == [(seq, "missing")]


@pytest.mark.parametrize(("first", "last"), [(1, 3), (4, 6), (COUNT - 2, COUNT), (1, COUNT)])
def test_removed_events_are_named_with_the_last_of_them(path: Path, first: int, last: int) -> None:
    alter(path, ("DELETE FROM events WHERE seq BETWEEN ? AND ?", (first, last)))
    assert [(fault.seq, fault.what) for fault in verdict(path)] == [(first, f"missing, with all up to {last}")]


@pytest.mark.parametrize(("one", "other"), list(combinations(range(1, COUNT + 1), 2)))
def test_swapped_events_are_both_named_as_swapped(path: Path, one: int, other: int) -> None:
    alter(
        path,
        ("UPDATE events SET seq = -1 WHERE seq = ?", (one,)),
        ("UPDATE events SET seq = ? WHERE seq = ?", (one, other)),
        ("UPDATE events SET seq = ? WHERE seq = -1", (other,)),
    )
    faults = verdict(path)
    assert [fault.seq for fault in faults] == [one, other]
    assert [fault.what for fault in faults] == [
        f"swapped: what stands here was written as event {other}",
        f"swapped: what stands here was written as event {one}",
    ]


@pytest.mark.parametrize("seq", [0, -7, COUNT + 1, COUNT + 40])
def test_a_renumbered_event_is_missed_and_found(path: Path, seq: int) -> None:
    alter(path, ("UPDATE events SET seq = ? WHERE seq = 5", (seq,)))
    faults = {fault.seq: fault.what for fault in verdict(path)}
    assert faults[5] == "missing"
    assert faults[seq] == "swapped: what stands here was written as event 5"


@pytest.mark.parametrize("seq", range(1, COUNT + 1))
def test_an_event_rewritten_with_a_fitting_hash_is_named(path: Path, seq: int) -> None:
    (fields,) = ask(path, f"SELECT at, kind, fund, run, payload, previous FROM events WHERE seq = {seq}")  # noqa: S608 - a number
    at, kind, _, run, payload, previous = fields
    forged = digest(seq, at, kind, "other", run, payload, previous)
    alter(path, ("UPDATE events SET fund = 'other', hash = ? WHERE seq = ?", (forged, seq)))
    assert seqs(path) == [seq]


def test_a_chain_that_starts_from_another_is_named(path: Path) -> None:
    ((at, kind, fund, run, payload),) = ask(path, "SELECT at, kind, fund, run, payload FROM events WHERE seq = 1")
    forged = digest(1, at, kind, fund, run, payload, "f" * 64)
    alter(path, ("UPDATE events SET previous = ?, hash = ? WHERE seq = 1", ("f" * 64, forged)))
    assert 1 in seqs(path)


def test_an_added_event_is_named(path: Path) -> None:
    ((seal,),) = ask(path, f"SELECT hash FROM events WHERE seq = {COUNT}")  # noqa: S608 - a number
    row = (COUNT + 1, "2024-03-31T00:15:00.000000+00:00", "plan.made", "btc3l", "r1", "{}", seal)
    alter(path, ("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, digest(*row))))
    assert seqs(path) == [COUNT + 1]


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        pytest.param("DELETE FROM chain_head", COUNT, id="removed"),
        pytest.param("INSERT INTO chain_head VALUES (2, 1, 'x')", COUNT, id="doubled"),
        pytest.param("UPDATE chain_head SET count = 'many'", COUNT, id="no number"),
        pytest.param("UPDATE chain_head SET count = count + 1", COUNT, id="more"),
        pytest.param("UPDATE chain_head SET count = count - 1", COUNT, id="fewer"),
        pytest.param("UPDATE chain_head SET count = -1", 1, id="less than none"),
        pytest.param("UPDATE chain_head SET hash = 'x'", COUNT, id="another hash"),
    ],
)
def test_an_altered_head_is_named(path: Path, statement: str, seq: int) -> None:
    alter(path, (statement, ()))
    (fault,) = verdict(path)
    assert fault.seq == seq
    assert "head" in fault.what


def test_every_fault_is_named_at_once(path: Path) -> None:
    alter(
        path,
        ("UPDATE events SET payload = '{}' WHERE seq = 2", ()),
        ("DELETE FROM events WHERE seq = 5", ()),
        ("UPDATE events SET run = 'r9' WHERE seq = 8", ()),
        ("DELETE FROM events WHERE seq = ?", (COUNT,)),
    )
    assert seqs(path) == [2, 5, 8, COUNT]


@pytest.mark.parametrize(("table", "column"), [(name, column.name) for name, table in BOOKED.items() for column in table.columns])
def test_every_column_of_every_row_answers_to_the_chain(path: Path, table: str, column: str) -> None:
    ((key, event),) = ask(path, f"SELECT rowid, event FROM {table} LIMIT 1")  # noqa: S608 - a table of tables
    expression = f"COALESCE({column}, '') || '7'" if column != "reduce_only" else "1 - reduce_only"
    alter(path, (f"UPDATE {table} SET {column} = {expression} WHERE rowid = ?", (key,)))  # noqa: S608 - a table of columns
    changed = {("runs", "status"), ("runs", "reason"), ("runs", "result"), ("runs", "ended_at")}
    changed |= {("children", name) for name in ("state", "order_id", "filled", "average")} | {("commands", "taken_at")}
    later = {"runs": HISTORY.index("run.closed") + 1, "children": 7, "commands": 2}
    named = later[table] if (table, column) in changed else event
    assert named in seqs(path)


@pytest.mark.parametrize(
    ("table", "where", "seq"),
    [
        ("runs", "id = 'r1'", 3),
        ("children", "client_id = 'kpr2'", 8),
        ("fills", "trade_id = 't1'", 7),
        ("fills", "trade_id = 't3'", 10),
        ("nav_points", "cause = 'after'", 11),
        ("commands", "id = 'c1'", 1),
    ],
)
def test_a_removed_row_is_named_by_the_event_that_brought_it(path: Path, table: str, where: str, seq: int) -> None:
    alter(path, (f"DELETE FROM {table} WHERE {where}", ()))  # noqa: S608 - a table of rows
    (fault,) = verdict(path)
    assert fault.seq == seq
    assert fault.what.startswith(table)
    assert fault.what.endswith("the row was removed")


def test_an_altered_fill_is_named_with_what_was_altered(path: Path) -> None:
    alter(path, ("UPDATE fills SET price = '1' WHERE trade_id = 't2'", ()))
    (fault,) = verdict(path)
    assert (fault.seq, fault.what) == (10, "fills acc1 BTC/USDT:USDT t2: price was altered")


def test_a_row_that_no_event_tells_of_is_named(path: Path) -> None:
    row = (
        "INSERT INTO fills SELECT account, symbol, 't9', event, client_id, 9, side, amount, price, fee, fee_asset, at FROM fills"
    )
    alter(path, (f"{row} WHERE trade_id = 't1'", ()))
    (fault,) = verdict(path)
    assert (fault.seq, fault.what) == (7, "fills acc1 BTC/USDT:USDT t9: no event tells of this row")
