"""Plans as files: written by `plan --out`, carried out by `rebalance --plan`."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from keeper.planning.written import WrittenPlan

REFUSED = 3
LARGEST = 1_000_000
"""Bytes of a file that may be a plan."""
WIDEST = 1000
"""The largest tolerance, bps."""


def must_be_new(path: Path) -> None:
    """A usage error where a file of that name is there: a plan is never written over anything."""
    if path.exists():
        raise typer.BadParameter(f"{path} is there already: name another file, or move it away")


def write_plan(path: Path, document: Mapping[str, object]) -> None:
    """Write a plan into a new file. A usage error with the system's words when that can't be done."""
    try:
        with path.open("x", encoding="utf-8") as made:
            made.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    except FileExistsError:
        must_be_new(path)
        raise
    except OSError as error:
        raise typer.BadParameter(f"can't write {path}: {error.strerror}") from error


def read_plan(path: Path) -> "WrittenPlan":
    """The plan in a file. A usage error when it can't be read; refused when it is no plan, or not as it was written."""
    from keeper.planning.written import Unusable, read

    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode(errors="replace")
    except OSError as error:
        raise typer.BadParameter(f"can't read {path}: {error.strerror}") from error
    try:
        return read(text)
    except Unusable as error:
        typer.echo(f"keeper: refused, nothing was sent: {path}: {error}", err=True)
        raise typer.Exit(REFUSED) from error


def tolerance_of(text: str, default: Decimal) -> Decimal:
    """How far prices may move until a plan is carried out, bps: as the operator wrote it, or ``default``. A usage error."""
    from keeper.domain.numbers import parse_plain

    try:
        found = parse_plain(text) if text else default
    except ValueError as error:
        raise typer.BadParameter(f"--tolerance-bps: {error}") from error
    if not 0 < found <= WIDEST:
        raise typer.BadParameter(f"--tolerance-bps must be above 0 and at most {WIDEST}, not {text}")
    return found
