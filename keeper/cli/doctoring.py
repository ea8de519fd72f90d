"""`keeper doctor`: whether a fund's account and this machine are fit for it, before its first order. It never sends one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund, print_json
from keeper.cli.questions import agreed, must_have_terminal
from keeper.cli.screen import console

if TYPE_CHECKING:
    from rich.console import Console

    from keeper.doctor import Checkup
    from keeper.service.documents import Document
    from keeper.settings.sources import Settings

ABORTED, REFUSED = 1, 3


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; all of them when left out."),
    *,
    fix: bool = typer.Option(
        False,
        "--fix",
        help="Change position mode, margin mode and leverage setting at the exchange where they do not suit.",
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask before changing; required where there is no terminal."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Look at a fund's keys, account, markets, journal and schedule, and say what to mend. Sends no order.

    Exit code 0 when nothing fails; else that of the first line that does: 69 where the venue can't be reached, or refuses the
    account, 78 for what is set up wrongly, 3 for what a run would be refused for, 73 for the journal. --fix changes settings
    only while nothing is held and no order rests (else 3), and nobody else holds the account (else 75).
    """
    import asyncio

    options: Options = context.obj
    options.start_log(default="warning")
    settings = options.settings()
    names = [one_fund(settings, fund)] if fund or not settings.funds or fix else sorted(settings.funds)
    if fix:
        must_have_terminal("doctor --fix", yes=yes)
        raise typer.Exit(_fix(settings, names[0], yes=yes, as_json=as_json))
    found = [asyncio.run(_check_up(settings, name)) for name in names]
    _show([one.document() for one in found], console(), as_json=as_json)
    raise typer.Exit(next((one.exit_code for one in found if one.exit_code), 0))


async def _check_up(settings: "Settings", name: str) -> "Checkup":
    from keeper.doctor import check_up

    return await check_up(settings, name)


def _fix(settings: "Settings", name: str, *, yes: bool, as_json: bool) -> int:
    """Look, ask, change, look again. Returns the exit code."""
    import asyncio

    from keeper.cli.cells import say
    from keeper.cli.tables import checkup_table
    from keeper.doctor import fix
    from keeper.domain.errors import VenueRefused

    screen, refused_by_human = console(stderr=as_json), False

    def agree(found: "Checkup") -> bool:
        nonlocal refused_by_human
        checkup_table(found.document(), screen)
        say(screen, *(str(change) for change in found.changes))
        refused_by_human = not agreed("Change this at the exchange?", yes=yes)
        return not refused_by_human

    try:
        found, made = asyncio.run(fix(settings, name, agree))
    except VenueRefused as error:
        typer.echo(f"keeper: refused: {error.message}", err=True)
        return REFUSED
    _show([found.document(made)], console(), as_json=as_json)
    return ABORTED if refused_by_human else found.exit_code


def _show(documents: "Sequence[Document]", screen: "Console", *, as_json: bool) -> None:
    from keeper.cli.tables import checkup_table

    if as_json:
        print_json({"funds": list(documents)})
        return
    for document in documents:
        checkup_table(document, screen)
