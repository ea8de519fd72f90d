"""What tables are made of: columns, words, colours. Cells fold and are never cut off.

Rich is imported inside the functions, since a module that only starts the program must stay light.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_WHOLE = ("Entry", "Order", "Fund", "Market", "Position")
_STYLES = {
    "completed": "green",
    "nothing_due": "green",
    "idle": "green",
    "running": "cyan",
    "trading": "cyan",
    "waiting": "green",
    "incomplete": "yellow",
    "interrupted": "yellow",
    "refused": "red",
    "blocked": "red",
    "missed": "red",
    "halted": "red",
    "trouble": "yellow",
    "reduce_only": "yellow",
    "agrees": "green",
    "differs": "red",
    "live": "red",
    "unknown": "red",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}


def table_of(heads: Sequence[str]) -> "Table":
    """A table whose columns are right-aligned where the head begins with ``>``."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="dim")
    for head in heads:
        justify: Literal["left", "right"] = "right" if head.startswith(">") else "left"
        # words fold before a figure or an identifier does: half a number is another number
        whole = justify == "right" or head in _WHOLE
        table.add_column(head.removeprefix(">"), justify=justify, overflow="fold", no_wrap=whole)
    return table


def say(console: "Console", *lines: str, style: str = "") -> None:
    """Lines of text as they are: brackets in a venue's message are not markup."""
    for line in lines:
        console.print(line, style=style or None, markup=False, highlight=False)


def plain_text(words: str) -> "Text":
    """Words as they are, whatever brackets they hold."""
    from rich.text import Text

    return Text(words)


def sided(side: str, rest: str = "") -> "Text":
    """The side of an order in its colour, and what follows."""
    from rich.text import Text

    return Text.assemble((side, "green" if side == "buy" else "magenta"), f" {rest}" if rest else "")


def status_text(status: str, words: str = "") -> "Text":
    """A state in its colour, or ``words`` in the colour of the state."""
    from rich.text import Text

    return Text(words or status.replace("_", " "), style=f"bold {_STYLES.get(status, '')}".strip())


def words(status: str) -> str:
    """A state as the beginning of a sentence."""
    return status.replace("_", " ").capitalize()
