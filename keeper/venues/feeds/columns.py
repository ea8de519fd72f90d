"""Columns of numbers read from a csv or parquet file, checked cell by cell. What they mean is their reader's business.

Times become whole milliseconds since 1970; a time without a zone is UTC. Parquet needs pyarrow, which is imported here only.
"""

import csv
import math
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from keeper.venues.feeds.recording import BadRecording, milliseconds

PARQUET_REMEDY = "reading parquet needs pyarrow: pip install 'rebalance-keeper[data]', or convert the file to csv"
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
        table = reader(path, kinds)
    except OSError as error:
        raise BadRecording(path, f"can't be read ({(error.strerror or 'truncated or corrupt').lower()})") from None
    if not table.rows:
        raise BadRecording(path, "holds no rows")
    for name, values in table.numbers.items():
        if not all(map(math.isfinite, values)):
            index = next(index for index, value in enumerate(values) if not math.isfinite(value))
            raise table.fault(index, f"{name} is {values[index]}, not a finite number")
    for name in (name for name, kind in kinds.items() if kind is Kind.TIME):
        stamps = table.whole[name]
        if not (min(stamps) > 0 and max(stamps) < _LATEST):
            index = next(index for index, stamp in enumerate(stamps) if not 0 < stamp < _LATEST)
            raise table.fault(index, f"{name} is {stamps[index]}, no milliseconds since 1970")
    return table


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
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            names = [name.strip() for name in next(lines, [])]
            _check_names(path, names, kinds)
            for count, cells in enumerate(lines, 1):
                if len(cells) != len(names):
                    raise BadRecording(path, f"line {count + 1}: holds {len(cells)} values, the header names {len(names)}")
                for name, cell in zip(names, cells, strict=True):
                    try:
                        if name in numbers:
                            numbers[name].append(_number(cell))
                        else:
                            whole[name].append(_time(cell) if kinds[name] is Kind.TIME else _whole(cell))
                    except ValueError:
                        raise BadRecording(path, f"line {count + 1}: {name} is {cell[:40]!r}, no {kinds[name]}") from None
        except UnicodeDecodeError:
            raise BadRecording(path, f"line {count + 2}: is no UTF-8 text") from None
        except csv.Error as error:
            raise BadRecording(path, f"line {count + 2}: {error}") from None
    return Table(path, count, whole, numbers, "line", 2)


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
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
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
