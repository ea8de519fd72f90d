"""Small recordings, written by the test that plays them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakes.paper import START

BAR_COLUMNS = ("ts", "open", "high", "low", "close", "volume")
Change = tuple[int, int, int, float]  # milliseconds after START, side, tick, amount


def stamp(milliseconds: int = 0) -> int:
    """START and so many milliseconds, since 1970."""
    return int(START.timestamp() * 1000) + milliseconds


def bar(minute: float, *prices: float, volume: float = 1000.0) -> dict[str, Any]:
    """A bar of one minute; prices: open, high, low, close."""
    at = START + timedelta(minutes=minute)
    return dict(zip(BAR_COLUMNS, (at, *(prices or (50_000.0, 50_100.0, 49_900.0, 50_050.0)), volume), strict=True))


def as_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """``rows`` as csv; times without a zone, as exports have them."""
    lines = [",".join(rows[0])] + [",".join(_cell(value) for value in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def as_parquet(path: Path, rows: Sequence[Mapping[str, Any]], types: Mapping[str, Any] | None = None) -> Path:
    """``rows`` as parquet; types: pyarrow's, by column, where they are not what the values say."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: pa.array([row[name] for row in rows], (types or {}).get(name)) for name in rows[0]}
    parquet.write_table(pa.table(columns), path)
    return path


def book_files(folder: Path, changes: Iterable[Change], trades: Iterable[Change] = (), name: str = "btc") -> Path:
    """The csv files of a recorded order book; trades: one a second over the first minute where none are given."""
    told = [dict(zip(("t_ms", "side", "px_tick", "qty"), (stamp(at), *rest), strict=True)) for at, *rest in changes]
    traded = [
        {"t_ms": stamp(at), "px_tick": tick, "qty": amount, "side": side}
        for at, side, tick, amount in trades or [(second * 1000, 1, 500_000, 0.5) for second in range(60)]
    ]
    as_csv(folder / f"{name}_deltas.csv", told)
    as_csv(folder / f"{name}_trades.csv", traded)
    return folder


def _cell(value: object) -> str:
    return value.replace(tzinfo=None).isoformat(sep=" ") if isinstance(value, datetime) else str(value)
