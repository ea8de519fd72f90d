"""Columns of numbers read from a csv or parquet file, checked cell by cell. What they mean is their reader's business.

Times become whole milliseconds since 1970; a time without a zone is UTC. Parquet needs pyarrow, which is imported here only.
"""

import csv
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from keeper.venues.feeds.recording import BadRecording, milliseconds, shown

PARQUET_REMEDY = "reading parquet needs pyarrow: pip install 'rebalance-keeper[data]', or convert the file to csv"
_EARLIEST = 946_684_800_000  # 2000; seconds since 1970 would lie before it
_LATEST = 253_402_300_800_000  # the year 10000
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2})?")


class Kind(StrEnum):
    """What a column holds: times (milliseconds since 1970), whole numbers, or numbers."""

    TIME = "time"
    WHOLE = "whole number"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length. row: what the file calls a row ("line" or "row"); first: the number of the first of them."""

    path: Path
    rows: int
    whole: Mapping[str, "array[int]"]
    numbers: Mapping[str, "array[float]"]
    row: str
    first: int

    def fault(self, index: int, why: str) -> BadRecording:
        """What is wrong with the row at ``index`` (from 0), for raising."""
        return BadRecording(self.path, f"{self.row} {index + self.first}: {why}")


def read_table(path: Path, kinds: Mapping[str, Kind]) -> Table:
    """The columns of ``kinds`` from a file that has these and no others. BadRecording for anything else."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadRecording(path, "is neither .csv nor .parquet by its name")
    try:
        _refuse_what_is_no_file(path)
        table = reader(path, kinds)
    except OSError as error:
        raise BadRecording(path, f"can't be read ({(error.strerror or 'truncated or corrupt').lower()})") from None
    if not table.rows:
        raise BadRecording(path, "holds no rows below its header: record some, or play another file")
    for name, values in table.numbers.items():
        if not all(map(math.isfinite, values)):
            index = next(index for index, value in enumerate(values) if not math.isfinite(value))
            raise table.fault(index, f"{name} is {values[index]}, not a finite number")
    for name in (name for name, kind in kinds.items() if kind is Kind.TIME):
        stamps = table.whole[name]
        if not (min(stamps) >= _EARLIEST and max(stamps) < _LATEST):
            index = next(index for index, stamp in enumerate(stamps) if not _EARLIEST <= stamp < _LATEST)
            raise table.fault(index, _no_time(name, stamps[index]))
    return table


def _no_time(name: str, stamp: int) -> str:
    if not 0 < stamp < _LATEST:
        return f"{name} is {stamp}, no milliseconds since 1970"
    told = f"{name} is {stamp}, which is {shown(stamp)} in milliseconds"
    return f"{told}, and nothing was recorded before 2000: seconds? write milliseconds"


def _refuse_what_is_no_file(path: Path) -> None:
    """BadRecording unless ``path`` is a file: a pipe would be waited for, for ever. OSError when nobody may look."""
    if path.is_file():
        return
    if not path.exists():
        raise BadRecording(
            path, "can't be read (no such file or directory): check the path; a relative one starts at the configuration file"
        )
    what = "is a directory" if path.is_dir() else "is a pipe or a device"
    raise BadRecording(path, f"can't be read ({what}): name a file")


def _check_names(path: Path, found: list[str], kinds: Mapping[str, Kind]) -> None:
    wanted = ", ".join(kinds)
    unknown = [name for name in found if name not in kinds]
    if unknown:
        raise BadRecording(path, f"has unknown columns {', '.join(unknown)}: keep {wanted} alone")
    lacking = [name for name in kinds if name not in found]
    if lacking:
        raise BadRecording(path, f"lacks the columns {', '.join(lacking)}: it must have {wanted}")
    if len(set(found)) < len(found):
        raise BadRecording(path, f"names a column twice: it must have {wanted}")


def _read_csv(path: Path, kinds: Mapping[str, Kind]) -> Table:
    whole: dict[str, array[int]] = {name: array("q") for name, kind in kinds.items() if kind is not Kind.NUMBER}
    numbers: dict[str, array[float]] = {name: array("d") for name, kind in kinds.items() if kind is Kind.NUMBER}
    count = 0
    # what is no UTF-8 is let in, so that the line where it stands can be named: it is no value of any kind
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            names = [name.strip() for name in next(lines, [])]
            if not all(map(_is_text, names)):
                raise BadRecording(path, "line 1: is no UTF-8 text")
            _check_names(path, names, kinds)
            for count, cells in enumerate(_rows(path, lines, len(names)), 1):
                for name, cell in zip(names, cells, strict=True):
                    try:
                        if name in numbers:
                            numbers[name].append(_number(cell))
                        else:
                            whole[name].append(_time(cell) if kinds[name] is Kind.TIME else _whole(cell))
                    except ValueError:
                        why = f"{name} is {cell[:40]!r}, no {kinds[name]}" if _is_text(cell) else "is no UTF-8 text"
                        raise BadRecording(path, f"line {count + 1}: {why}") from None
        except csv.Error as error:
            raise BadRecording(path, f"line {count + 2}: {error}") from None
    return Table(path, count, whole, numbers, "line", 2)


def _rows(path: Path, lines: Iterable[list[str]], columns: int) -> Iterator[list[str]]:
    """The rows below the header, each of so many cells. Lines without anything may only stand at the end."""
    blank = 0
    for number, cells in enumerate(lines, 2):
        if len(cells) <= 1 and not "".join(cells).strip():
            blank = blank or number
            continue
        if not blank and len(cells) == columns:
            yield cells
            continue
        if not all(map(_is_text, cells)):
            raise BadRecording(path, f"line {number}: is no UTF-8 text")
        first, held = (blank, 0) if blank else (number, len(cells))
        why = f"holds {held} values, the header names {columns}: write one for each column, or take the line out"
        raise BadRecording(path, f"line {first}: {why}")


def _is_text(cell: str) -> bool:
    """Whether ``cell`` was UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in cell)


def _number(cell: str) -> float:
    text = cell.strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _whole(cell: str) -> int:
    text = cell.strip()
    if not _WHOLE.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _time(cell: str) -> int:
    text = cell.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    at = datetime.fromisoformat(text)
    return milliseconds(at if at.utcoffset() is not None else at.replace(tzinfo=UTC))


def _read_parquet(path: Path, kinds: Mapping[str, Kind]) -> Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise BadRecording(path, PARQUET_REMEDY) from None
    try:
        with parquet.ParquetFile(path) as file:
            _check_names(path, list(file.schema_arrow.names), kinds)
            table = file.read(use_threads=False)
    except pa.ArrowException:
        raise BadRecording(path, "is no sound parquet file: truncated, corrupt or of another kind") from None
    arrays = {name: _column(pa, path, name, table.column(name), kind) for name, kind in kinds.items()}
    whole = {name: arrays[name] for name, kind in kinds.items() if kind is not Kind.NUMBER}
    numbers = {name: arrays[name] for name, kind in kinds.items() if kind is Kind.NUMBER}
    return Table(path, table.num_rows, whole, numbers, "row", 1)


def _column(pa: Any, path: Path, name: str, column: Any, kind: Kind) -> "array[Any]":
    """One column's values. ``pa``: the pyarrow module."""
    is_type = pa.types
    right = {
        Kind.TIME: is_type.is_timestamp(column.type) or is_type.is_integer(column.type),
        Kind.WHOLE: is_type.is_integer(column.type),
        Kind.NUMBER: is_type.is_floating(column.type) or is_type.is_integer(column.type),
    }
    if not right[kind]:
        raise BadRecording(path, f"column {name} holds {column.type}, not {kind}s")
    if column.null_count:
        raise BadRecording(path, f"row {column.is_null().index(value=True).as_py() + 1}: {name} is missing")
    try:
        if is_type.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", tz=column.type.tz))
        # a timestamp is its milliseconds
        column = column.cast(pa.float64() if kind is Kind.NUMBER else pa.int64())
    except pa.ArrowInvalid:
        raise BadRecording(path, f"column {name} holds {column.type}s that are no whole milliseconds or numbers") from None
    values = array("d" if kind is Kind.NUMBER else "q")
    for chunk in column.chunks:
        data = memoryview(chunk.buffers()[1]) if len(chunk) else memoryview(b"")
        values.frombytes(data[chunk.offset * values.itemsize : (chunk.offset + len(chunk)) * values.itemsize])
    return values
