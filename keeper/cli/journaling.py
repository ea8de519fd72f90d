"""Commands about the journal itself: upgrade, verify."""

import typer

from keeper.cli.options import Options, print_json
from keeper.cli.screen import console

BROKEN = 73

db = typer.Typer(no_args_is_help=True, help="The journal: upgrade its schema, verify its chain of events.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(db, name="db")


@db.callback()
def _db() -> None:
    """The journal."""


@db.command("upgrade")
def upgrade(context: typer.Context) -> None:
    """Create the journal, or bring an older one to this version's schema."""
    from keeper.journal.database import describe
    from keeper.journal.store import upgrade as bring_up

    options: Options = context.obj
    options.start_log()
    url = options.settings(keys=False).journal_url
    bring_up(url)
    console().print(f"{describe(url)} is up to date.", soft_wrap=True)


@db.command("verify")
def verify(
    context: typer.Context,
    *,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Check the hash chain of events and the rows that they wrote; every fault is named. Exit code 73 if there is one."""
    import asyncio

    from keeper.records import verify_journal

    options: Options = context.obj
    options.start_log()
    document = asyncio.run(verify_journal(options.settings(keys=False)))
    if as_json:
        print_json(document)
    else:
        screen = console()
        for fault in document["faults"]:
            screen.print(f"event {fault['seq']}: {fault['what']}", soft_wrap=True)
        verdict = f"{len(document['faults'])} faults" if document["faults"] else "the chain holds"
        screen.print(f"{document['journal']}: {document['events']} events, {verdict}.", soft_wrap=True)
    raise typer.Exit(BROKEN if document["faults"] else 0)
