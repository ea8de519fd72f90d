"""Tables for a spreadsheet: CSV with a head line, and no cell that would be taken for a formula."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """``rows`` as CSV with a head line; what is in no column is left out."""
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return written.getvalue()


def _harmless(value: object) -> object:
    """Text that a spreadsheet would take for a formula, as text: what a venue names is not ours."""
    if isinstance(value, str) and value[:1] in ("=", "@", "\t", "\r"):
        return f"'{value}"
    return value
