"""Commands that read the journal: status, runs, report. They trade nothing and need no exchange."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund, print_json
from keeper.cli.screen import console

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def report(  # noqa: PLR0913, PLR0917 - a command's options are its arguments
    context: typer.Context,
    run: str = typer.Argument("", help="A run's id; none for a period."),
    fund: str = typer.Option("", help="The fund whose period is reported, where there are several."),
    period: str = typer.Option("", help="2026, 2026-03, 2026-03-05, 2026-03-01..2026-03-15 or all; days in UTC."),
    html: Path | None = typer.Option(None, "--html", help="Write the report to this file, one page that needs nothing else."),
    table: Path | None = typer.Option(None, "--csv", help="Write the period's runs to this file."),
    days: Path | None = typer.Option(None, "--days", help="Write each day's change by cause to this file, as CSV."),
    fills: Path | None = typer.Option(None, "--fills", help="Write the period's fills and fees to this file, as CSV."),
    funding: Path | None = typer.Option(
        None, "--funding", help="Write what the exchange's ledger told (funding, fees, flows) to this file, as CSV."
    ),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Write the report of one run, or of a period: what it cost, and how near the fund stayed to its multiple."""
    options: Options = context.obj
    options.start_log()
    if bool(run) == bool(period):
        message = "name a run, or a period with --period, and not both"
        raise typer.BadParameter(message)
    if period:
        files = {"html": html, "csv": table, "days": days, "fills": fills, "funding": funding}
        _report_period(options, fund, period, files, as_json=as_json)
        return
    if html is None or table or days or fills or funding or as_json:
        message = "the report of one run is a page: name its file with --html; `keeper runs show --json` prints what is in it"
        raise typer.BadParameter(message)
    from keeper.service.report_page import report_page

    record = _record(options, run)
    document, plan = record.documents()
    _write(html, report_page(document, plan, record.children, record.fills))


def _report_period(options: Options, fund: str, asked: str, files: "Mapping[str, Path | None]", *, as_json: bool) -> None:
    import asyncio

    from keeper.records import period_of
    from keeper.service.causes import causes_as_csv, causes_document, flows_of
    from keeper.service.period import fills_as_csv, parse_period, period_document, postings_as_csv, rows_as_csv
    from keeper.service.period_page import period_page

    try:
        period = parse_period(asked)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--period") from error
    settings = options.settings(keys=False)
    name = fund or one_fund(settings, "")  # of one that is configured no more there may be runs
    record = asyncio.run(period_of(settings, name, period))
    flows = flows_of(record.past.ledger, record.past.postings)
    document = period_document(name, record.runs, period, flows, causes_document(record.past, period.holds), record.carry)
    texts = {
        "html": lambda: period_page(document, asked),
        "csv": lambda: rows_as_csv(document),
        "days": lambda: causes_as_csv(document),
        "fills": lambda: fills_as_csv(record.fills),
        "funding": lambda: postings_as_csv(record.postings),
    }
    for kind, path in files.items():
        if path is not None:
            _write(path, texts[kind](), quiet=as_json)
    if as_json:
        print_json(document)
    elif not any(files.values()):
        from keeper.cli.render import period_table

        period_table(document, console(), asked)


def _write(path: Path, content: str, *, quiet: bool = False) -> None:
    write_page(path, content)
    if not quiet:
        console().print(f"Wrote {path}", soft_wrap=True)


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
