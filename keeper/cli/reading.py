"""Commands that read the journal: status, runs, report. They trade nothing and need no exchange."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, print_json
from keeper.cli.screen import console

if TYPE_CHECKING:
    from keeper.records import RunRecord

runs = typer.Typer(no_args_is_help=True, help="What was done.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("status")(status)
    app.add_typer(runs, name="runs")
    app.command("report")(report)


@runs.callback()
def _runs() -> None:
    """What was done."""


def status(
    context: typer.Context,
    *,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show where every fund stands, from the journal: last run, leverage, what blocks it, the next slot."""
    import asyncio

    from keeper.records import status_of

    options: Options = context.obj
    options.start_log()
    document = asyncio.run(status_of(options.settings(keys=False)))
    if as_json:
        print_json(document)
    else:
        from keeper.cli.render import status_table

        status_table(document, console())


@runs.command("list")
def list_runs(
    context: typer.Context,
    fund: str = typer.Option("", help="Only this fund."),
    limit: int = typer.Option(20, min=1, help="At most so many, newest first."),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List the latest runs."""
    import asyncio

    from keeper.records import runs_of

    options: Options = context.obj
    options.start_log()
    document = asyncio.run(runs_of(options.settings(keys=False), fund=fund or None, limit=limit))
    if as_json:
        print_json(document)
    else:
        from keeper.cli.render import runs_table

        runs_table(document, console())


@runs.command("show")
def show_run(
    context: typer.Context,
    run: str = typer.Argument(help="A run's id, as `keeper runs list` shows it."),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show one run: its orders, what it cost, where it left the fund."""
    options: Options = context.obj
    options.start_log()
    document, plan = _record(options, run).documents()
    if as_json:
        print_json(document)
    else:
        from keeper.cli.render import run_summary

        run_summary(document, console(), plan=plan, orders=True)


def report(
    context: typer.Context,
    run: str = typer.Argument(help="A run's id."),
    html: Path = typer.Option(..., "--html", help="Write the report to this file, one page that needs nothing else."),
) -> None:
    """Write the report of one run: fills over the mid, what it cost against what was predicted."""
    from keeper.service.report_page import report_page

    options: Options = context.obj
    options.start_log()
    record = _record(options, run)
    document, plan = record.documents()
    write_page(html, report_page(document, plan, record.children, record.fills))
    console().print(f"Wrote {html}", soft_wrap=True)


def _record(options: Options, run: str) -> "RunRecord":
    import asyncio

    from keeper.records import run_of

    record = asyncio.run(run_of(options.settings(keys=False), run))
    if record is None:
        raise typer.BadParameter(f"there is no run {run!r}; `keeper runs list` shows those there are")
    return record


def write_page(path: Path, page: str) -> None:
    """Put ``page`` into ``path``. A usage error with the system's words when that can't be done."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"can't write {path}: {error.strerror}") from error
