"""Commands about the journal itself: upgrade, verify, backup, restore."""

from pathlib import Path

import typer

from keeper.cli.options import Options, print_json
from keeper.cli.screen import console

BROKEN = 73

db = typer.Typer(
    no_args_is_help=True, help="The journal: upgrade its schema, verify its chain of events, copy it, put a copy back."
)


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
    from keeper.journal.soundness import upgrade as bring_up

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


@db.command("backup")
def backup(
    context: typer.Context,
    file: Path = typer.Argument(help="Where to put the copy; never over a file that is there."),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Copy the journal to a file of its owner's alone, while a daemon goes on. A journal that is not sound is not copied."""
    from keeper.records import back_up_journal

    options: Options = context.obj
    options.start_log()
    if file.exists() or file.is_symlink():
        raise typer.BadParameter(f"{file} is there already: name another file, or move it away")
    document = back_up_journal(options.settings(keys=False), file)
    if as_json:
        print_json(document)
    else:
        console().print(f"{document['journal']}: copied {document['events']} events to {document['file']}.", soft_wrap=True)


@db.command("restore")
def restore(
    context: typer.Context,
    file: Path = typer.Argument(help="The copy, as `keeper db backup` makes it."),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Put a copy in the journal's place, and halt every fund: what came after the copy, a halt too, is not in it.

    Refused while a process holds an account (75), and for a copy that is not sound (73). What stood there is moved aside.
    """
    from keeper.records import restore_journal

    options: Options = context.obj
    options.start_log()
    document = restore_journal(options.settings(keys=False), file)
    if as_json:
        print_json(document)
        return
    screen = console()
    screen.print(f"{document['journal']}: put back {document['events']} events from {document['file']}.", soft_wrap=True)
    if document["aside"] is not None:
        screen.print(f"What stood there is now {document['aside']}.", soft_wrap=True)
    for fund in document["halted"]:
        screen.print(
            f"{fund} is halted: `keeper reconcile {fund}`, `--accept` once you know the difference, then `keeper resume {fund}`.",
            soft_wrap=True,
        )
