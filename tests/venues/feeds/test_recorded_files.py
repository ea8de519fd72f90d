"""Reading columns: what a sound file says, and what is said about every other."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keeper.venues.feeds.columns import Kind, read_table
from keeper.venues.feeds.recording import BadRecording
from tests.fakes.paper import START
from tests.fakes.recordings import BAR_COLUMNS, as_csv, as_parquet, bar, stamp

BARS = {"ts": Kind.TIME} | dict.fromkeys(BAR_COLUMNS[1:], Kind.NUMBER)
ROWS = [bar(0), bar(1, 50_050.5, 50_060.0, 50_000.0, 50_010.0, volume=12.5)]
Write = Callable[[Path, list[dict[str, Any]]], Path]


@pytest.mark.parametrize(("write", "suffix"), [(as_csv, "csv"), (as_parquet, "parquet")])
def test_both_formats_hold_the_same(tmp_path: Path, write: Write, suffix: str) -> None:
    table = read_table(write(tmp_path / f"bars.{suffix}", ROWS), BARS)
    assert table.rows == 2
    assert list(table.whole["ts"]) == [stamp(), stamp(60_000)]
    assert list(table.numbers["open"]) == [50_000.0, 50_050.5]
    assert list(table.numbers["volume"]) == [1000.0, 12.5]


def test_a_time_is_text_or_milliseconds_and_a_zone_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text("ts\n2025-03-01 00:00:00\n2025-03-01T01:00:00+01:00\n" + f"{stamp()}\n", encoding="utf-8-sig")
    assert set(read_table(path, {"ts": Kind.TIME}).whole["ts"]) == {stamp()}


def test_parquet_s_own_types_are_taken_as_they_are(tmp_path: Path) -> None:
    import pyarrow as pa

    types = {"t": pa.timestamp("us", tz="Europe/Berlin"), "side": pa.int8(), "qty": pa.float32()}
    rows = [{"t": START + timedelta(milliseconds=count), "side": -1, "qty": 0.5} for count in range(3)]
    path = as_parquet(tmp_path / "x.parquet", rows, types)
    table = read_table(path, {"t": Kind.TIME, "side": Kind.WHOLE, "qty": Kind.NUMBER})
    assert list(table.whole["t"]) == [stamp(count) for count in range(3)]
    assert list(table.whole["side"]) == [-1, -1, -1]
    assert list(table.numbers["qty"]) == [0.5, 0.5, 0.5]


HEADER = "ts,open,high,low,close,volume\n"
FIRST = "2025-03-01 00:00:00,1,1,1,1,1\n"
BAD_TEXT = [
    ("", "lacks the columns ts, open, high, low, close, volume"),
    (HEADER, "holds no rows below its header: record some"),
    (HEADER.replace("volume", "volume,vwap") + FIRST, "unknown columns vwap: keep ts, open"),
    (HEADER.replace(",volume", ""), "lacks the columns volume"),
    (HEADER.replace("volume", "volume,open") + FIRST, "names a column twice"),
    (HEADER + FIRST + "2025-03-01 00:01:00,1,1,1", "line 3: holds 4 values, the header names 6: write one for each column"),
    (HEADER + FIRST + "\n" + FIRST, "line 3: holds 0 values"),
    (HEADER + FIRST + "\n \n\n" + FIRST, "line 3: holds 0 values"),
    (HEADER + "\n\n", "holds no rows"),
    (HEADER + FIRST.replace("2025-03-01 00:00:00", "1740787200"), "1970-01-21 03:33:07.200 UTC in milliseconds"),
    (HEADER + FIRST.replace("2025-03-01 00:00:00", "1740787200"), "seconds? write milliseconds"),
    (HEADER + FIRST.replace("2025-03-01 00:00:00", "1999-12-31 23:59:59.999"), "nothing was recorded before 2000"),
    (HEADER + FIRST.replace(",1\n", ",nan\n"), "line 2: volume is 'nan', no number"),
    (HEADER + FIRST.replace(",1\n", ",1_0\n"), "line 2: volume is '1_0', no number"),
    (HEADER + FIRST + FIRST.replace(",1\n", ",\n"), "line 3: volume is '', no number"),
    (HEADER + FIRST.replace("2025-03-01 00", "yesterday"), "line 2: ts is 'yesterday:00:00', no time"),
    (HEADER + FIRST.replace("2025-03-01 00:00:00", "-5"), "line 2: ts is -5, no milliseconds since 1970"),
    (HEADER + FIRST.replace("2025-03-01 00:00:00", "9" * 18), "no milliseconds since 1970"),
    (HEADER + FIRST.replace(",1\n", ',"1\n'), "line 2: unexpected end of data"),
]


@pytest.mark.parametrize(("text", "words"), BAD_TEXT)
def test_the_first_bad_line_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadRecording) as refused:
        read_table(path, BARS)
    assert refused.value.path == path
    assert words in refused.value.why


def test_blank_lines_at_the_end_are_let_pass(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + FIRST + "\n  \n\n")
    assert read_table(path, BARS).rows == 1


def test_the_first_time_of_the_century_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text("ts\n946684800000\n")
    assert list(read_table(path, {"ts": Kind.TIME}).whole["ts"]) == [946_684_800_000]


@pytest.mark.parametrize("earlier", [0, 3, 5000])
@pytest.mark.parametrize("bad", [b"2025-03-01 00:00:00,1,\xff,1,1,1\n", b"\xfe\n", b"caf\xe9,1,1,1,1,1\n"])
def test_bytes_that_are_no_text_are_named_by_their_own_line(tmp_path: Path, earlier: int, bad: bytes) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(HEADER.encode() + FIRST.encode() * earlier + bad + FIRST.encode() * 3)
    with pytest.raises(BadRecording) as refused:
        read_table(path, BARS)
    assert refused.value.why == f"line {earlier + 2}: is no UTF-8 text"
    path.write_bytes(HEADER.encode() + FIRST.encode() * earlier + b"x" + FIRST.encode() + bad)
    with pytest.raises(BadRecording, match=f"line {earlier + 2}: ts is 'x2025"):  # what comes before it is told first
        read_table(path, BARS)


def test_a_header_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(b"ts,\xff\n")
    with pytest.raises(BadRecording, match="line 1: is no UTF-8 text"):
        read_table(path, BARS)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(HEADER.encode() + b"\xff\xfe\x00" * 4000)
    with pytest.raises(BadRecording, match=r"line \d+: is no UTF-8 text"):
        read_table(path, BARS)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    words = rf"bars\.{suffix}: can't be read \(no such file or directory\): check the path; a relative one starts at the"
    with pytest.raises(BadRecording, match=words):
        read_table(tmp_path / f"bars.{suffix}", BARS)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"bars.{suffix}")
    with pytest.raises(BadRecording, match=r"can't be read \(is a pipe or a device\): name a file"):
        read_table(tmp_path / f"bars.{suffix}", BARS)


def test_a_folder_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRecording, match=r"is neither \.csv nor \.parquet"):
        read_table(tmp_path, BARS)
    for suffix in ("csv", "parquet"):
        (tmp_path / f"bars.{suffix}").mkdir()
        with pytest.raises(BadRecording, match=r"can't be read \(is a directory\): name a file"):
            read_table(tmp_path / f"bars.{suffix}", BARS)


@pytest.mark.parametrize("kept", [0, 1, 3, 100, 600, -1, -9])
def test_a_torn_parquet_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = as_parquet(tmp_path / "bars.parquet", ROWS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadRecording, match=r"truncated"):
        read_table(path, BARS)


def test_a_parquet_file_whose_middle_is_overwritten_is_refused(tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "bars.parquet", [bar(minute) for minute in range(500)])
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + b"\x00" * (len(whole) // 2) + whole[50 + len(whole) // 2 :])
    with pytest.raises(BadRecording, match=r"truncated|corrupt"):
        read_table(path, BARS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"volume": float("nan")}, "row 2: volume is nan, not a finite number"),
        ({"high": float("inf")}, "row 2: high is inf, not a finite number"),
        ({"low": None}, "row 2: low is missing"),
        ({"ts": START + timedelta(microseconds=1)}, "column ts holds timestamp"),
    ],
)
def test_the_first_bad_row_of_parquet_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = as_parquet(tmp_path / "bars.parquet", [bar(0), bar(1) | change])
    with pytest.raises(BadRecording) as refused:
        read_table(path, BARS)
    assert words in refused.value.why


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vwap": 1.0}, "unknown columns vwap"),
        ({"volume": "1000"}, "column volume holds string, not numbers"),
        ({"ts": 1.5}, "column ts holds double, not times"),
    ],
)
def test_columns_of_another_kind_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRecording, match=words):
        read_table(as_parquet(tmp_path / "bars.parquet", [bar(0) | change]), BARS)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_parquet(tmp_path / "bars.parquet", ROWS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(BadRecording, match=r"pip install 'rebalance-keeper\[data\]'"):
        read_table(path, BARS)
    assert read_table(as_csv(tmp_path / "bars.csv", ROWS), BARS).rows == 2
