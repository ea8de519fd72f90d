"""Commands that look at a fund and trade it: plan, rebalance, flatten."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from keeper.cli.options import Options, one_fund, print_json
from keeper.cli.questions import interruptible, must_have_terminal
from keeper.cli.screen import console

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from decimal import Decimal

    from rich.console import Console

    from keeper.bootstrap import Desk
    from keeper.domain.errors import AccountBusy, KeeperError
    from keeper.domain.run import Command, CommandKind, Run
    from keeper.planning.plan import Plan
    from keeper.planning.written import WrittenPlan
    from keeper.service.rebalancer import Rebalancer
    from keeper.settings.sources import Settings

ABORTED = 1
WOULD_TRADE = 2
REFUSED = 3
INCOMPLETE = 4
USAGE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the operator asked for.

    html: where the report goes, if anywhere; approved_jump: the new targets are meant; by: the written plan to be carried out.
    """

    kind: "CommandKind"
    yes: bool
    as_json: bool
    reason: str
    html: "Path | None" = None
    approved_jump: bool = False
    by: "WrittenPlan | None" = None


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("plan")(plan)
    app.command("rebalance")(rebalance)
    app.command("flatten")(flatten)


def plan(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print the plan as one JSON document."),
    out: Path | None = typer.Option(None, "--out", help="Write the plan to this new file, for `rebalance --plan`."),
    tolerance_bps: str = typer.Option(
        "", help="With --out: how far prices may move until it is carried out; default: limits.max_slippage_bps."
    ),
) -> None:
    """Show what a rebalance would do now. Sends nothing. Exit code 2 when it would trade, 3 when it would be refused."""
    import asyncio

    from keeper.cli.plans import must_be_new, tolerance_of, write_plan

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    name = one_fund(settings, fund)
    if tolerance_bps and out is None:
        raise typer.BadParameter("--tolerance-bps belongs to --out")
    tolerance = tolerance_of(tolerance_bps, settings.funds[name].limits.max_slippage_bps)
    if out is not None:
        must_be_new(out)
    made, document, carry = asyncio.run(_plan(settings, name, tolerance))
    if out is not None:
        write_plan(out, document)
        typer.echo(
            f"keeper: wrote {out}: `keeper rebalance --plan {out}` carries it out until {made.expires_at:%H:%M:%S} UTC", err=True
        )
    if as_json:
        print_json({**made.document(), "carry": carry})
    else:
        from keeper.cli.cause_tables import carry_lines
        from keeper.cli.render import plan_table

        plan_table(made.document(), console())
        carry_lines(carry, console())
    raise typer.Exit(REFUSED if made.refusals else WOULD_TRADE if made.legs else 0)


async def _plan(
    settings: "Settings", fund: str, tolerance_bps: "Decimal"
) -> "tuple[Plan, dict[str, object], dict[str, object] | None]":
    """A plan, the document that it is written down as, and what holding the exposure costs."""
    from keeper.bootstrap import open_desk

    async with open_desk(settings, fund, acting=False) as desk:
        made = await desk.rebalancer.plan()
        return made, desk.rebalancer.written(tolerance_bps), await desk.rebalancer.carry()


def rebalance(
    context: typer.Context,
    fund: str = typer.Argument("", help="Fund; may be left out where there is only one."),
    *,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask; required where there is no terminal."),
    as_json: bool = typer.Option(False, "--json", help="Print the finished run as one JSON document."),
    reason: str = typer.Option("", help="Why, for the record."),
    approve_jump: bool = typer.Option(False, "--approve-jump", help="Targets far from those of the run before are meant."),
    plan: Path | None = typer.Option(None, "--plan", help="Carry out the plan that `plan --out` wrote to this file, or nothing."),
) -> None:
    """Bring a fund to its target now, after showing the plan and asking."""
    from keeper.cli.plans import read_plan
    from keeper.domain.run import CommandKind

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    by = None if plan is None else read_plan(plan)
    name = one_fund(settings, fund or (by.who.fund if by is not None else ""))
    kind = CommandKind.REBALANCE
    request = Request(kind=kind, yes=yes, as_json=as_json, reason=reason, approved_jump=approve_jump, by=by)
    raise typer.Exit(act(settings, name, request))


def flatten(
    context: typer.Context,
    fund: str = typer.Argument(help="Fund."),
    *,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask; required where there is no terminal."),
    as_json: bool = typer.Option(False, "--json", help="Print the finished run as one JSON document."),
    reason: str = typer.Option("", help="Why, for the record."),
) -> None:
    """Bring a fund to no exposure, reduce-only and split like any run; afterwards it may only reduce until `keeper resume`."""
    from keeper.domain.run import CommandKind

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    name = one_fund(settings, fund)
    try:
        code = act(settings, name, Request(kind=CommandKind.FLATTEN, yes=yes, as_json=as_json, reason=reason))
    finally:
        _tell_binding(settings, name)
    raise typer.Exit(code)


def _tell_binding(settings: "Settings", fund: str) -> None:
    """Say that the fund is left bound to reductions, if it is."""
    import asyncio
    from contextlib import suppress

    from keeper.domain.errors import JournalError
    from keeper.records import standing_of

    with suppress(JournalError):
        if asyncio.run(standing_of(settings, fund)).reducing:
            typer.echo(f"keeper: {fund} may only reduce from here on, until `keeper resume {fund}`", err=True)


def run_now(settings: "Settings", fund: str, *, yes: bool, as_json: bool, reason: str, html: "Path | None" = None) -> int:
    """Plan, ask, run, report: the function behind ``demo``. Returns the exit code."""
    from keeper.domain.run import CommandKind

    return act(settings, fund, Request(kind=CommandKind.REBALANCE, yes=yes, as_json=as_json, reason=reason, html=html))


def act(settings: "Settings", fund: str, request: Request) -> int:
    """Plan, ask, run, report. Returns the exit code."""
    import asyncio

    from keeper.domain.errors import StaleData, VenueError

    must_have_terminal(request.kind.value, yes=request.yes)
    try:
        return asyncio.run(_act(settings, fund, request))
    except (VenueError, StaleData) as error:
        if _flattens(request) and not asyncio.run(_pulled(settings, fund)):
            return _pull_blind(settings, fund, request, error)
        raise
    except asyncio.CancelledError:
        typer.echo("keeper: stopped at once; `keeper status` tells what is open, the next rebalance settles it", err=True)
        return INCOMPLETE


async def _act(settings: "Settings", fund: str, request: Request) -> int:
    from keeper.bootstrap import open_desk
    from keeper.cli.progress import LiveProgress
    from keeper.cli.stopping import stopping_on_signals
    from keeper.domain.errors import AccountBusy
    from keeper.service.identity import lacking

    screen = console(stderr=request.as_json)
    try:
        async with open_desk(settings, fund, acting=True) as desk:
            rebalancer = _rebalancer(desk, request)
            await rebalancer.recover()
            if not await rebalancer.verify() and not _flattens(request) and (await desk.journal.standing(fund)).flattened:
                raise lacking()  # a fund that is not to be flattened is halted by now, and its plan says so
            made = await _approved(desk, screen, request)
            if made is None:
                return ABORTED
            trigger = await desk.command(request.reason, request.kind, approved_jump=request.approved_jump, by=request.by)
            if _flattens(request):
                made = await rebalancer.plan()  # from here on it is bound to reductions, and no more halted
            with stopping_on_signals(rebalancer.stop):
                run = await rebalancer.execute(made, trigger, LiveProgress(screen), request.reason)
            return await _report(desk, run, screen, request)
    except AccountBusy as error:
        busy = error
    return await _ask_holder(settings, fund, busy, request)


async def _ask_holder(settings: "Settings", fund: str, busy: "AccountBusy", request: Request) -> int:
    """Have the daemon that holds the account do it. AccountBusy when the holder is none that takes commands."""
    from keeper.bootstrap import open_desk
    from keeper.cli.asking import followed

    screen = console(stderr=request.as_json)
    async with open_desk(settings, fund, acting=False) as desk:
        made = await _approved(desk, screen, request)
        if made is None:
            return ABORTED
        # what is unknown here the holder may settle first
        if any(refusal.code != "unknown_child" for refusal in made.refusals) and not _flattens(request):
            return REFUSED
        asked = await desk.ask(request.reason, request.kind, approved_jump=request.approved_jump, by=request.by)
        command = await _until_told(followed(settings, desk, asked.id, busy, screen))
        if command is None:
            return await _left_alone(desk, asked.id)
        run = await desk.journal.run(f"{fund}-{command.id}")
        if run is not None and run.status.ended:
            return await _report(desk, run, screen, request)
        typer.echo(f"keeper: {command.answer}", err=True)
        return command.exit_code or INCOMPLETE


async def _until_told(following: "Coroutine[object, object, Command]") -> "Command | None":
    """What a daemon made of a request; None where the operator does not want to wait for it."""
    import asyncio

    from keeper.cli.stopping import stopping_on_signals

    waiting = asyncio.ensure_future(following)

    def give_up(_why: str) -> None:
        waiting.cancel()

    with stopping_on_signals(give_up):
        await asyncio.wait({waiting})
    return None if waiting.cancelled() else waiting.result()


async def _pulled(settings: "Settings", fund: str) -> bool:
    """Whether the fund is to be flattened already."""
    from keeper.records import standing_of

    return (await standing_of(settings, fund)).flattened


def _pull_blind(settings: "Settings", fund: str, request: Request, error: "KeeperError") -> int:
    """Record a flattening that can't be planned: from here on the fund only reduces, whoever trades it. Returns the exit code."""
    import asyncio

    from keeper.bootstrap import order
    from keeper.cli.questions import agreed

    typer.echo(f"keeper: {error}", err=True)
    if not agreed(f"It can't be seen what {fund} holds. Flatten it as soon as it can?", yes=request.yes):
        return ABORTED
    asyncio.run(order(settings, [fund], request.kind, request.reason))
    typer.echo(f"keeper: recorded: `keeper run` flattens {fund} as soon as its venue answers, or type this again then", err=True)
    return error.exit_code


async def _left_alone(desk: "Desk", command_id: str) -> int:
    """Take a request back that nobody has taken up, or say who goes on with it. Returns the exit code."""
    from keeper.domain.run import CommandKind
    from keeper.system import SystemClock

    clock = SystemClock()
    asked = await desk.journal.find_command(command_id)
    brake = asked is not None and asked.kind is CommandKind.FLATTEN  # which holds from the moment that it is recorded
    if not brake and await desk.journal.take_command(command_id, clock.now()):
        await desk.journal.end_command(command_id, at=clock.now(), exit_code=ABORTED, answer="withdrawn")
        typer.echo("keeper: withdrawn before the daemon took it", err=True)
        return ABORTED
    typer.echo(f"keeper: the daemon goes on with it; `keeper halt {desk.fund}` stops it", err=True)
    return INCOMPLETE


def _flattens(request: Request) -> bool:
    from keeper.domain.run import CommandKind

    return request.kind is CommandKind.FLATTEN


def _rebalancer(desk: "Desk", request: Request) -> "Rebalancer":
    return desk.rebalancer.flat() if _flattens(request) else desk.rebalancer


async def _report(desk: "Desk", run: "Run", screen: "Console", request: Request) -> int:
    """Show a run that has ended; its exit code is returned."""
    from keeper.cli.reading import write_page
    from keeper.cli.render import run_summary
    from keeper.service.books import left_by
    from keeper.service.documents import run_document
    from keeper.service.report_page import report_page

    children, fills = await desk.journal.children(run.id), await desk.journal.fills(run.id)
    document = run_document(run, children, fills, nav_per_unit=await left_by(desk.journal, run))
    if request.as_json:
        print_json(document)
    else:
        run_summary(document, screen, plan=run.plan)
    if request.html is not None:
        write_page(request.html, report_page(document, run.plan, children, fills))
    return _exit_code(run)


async def _approved(desk: "Desk", screen: "Console", request: Request) -> "Plan | None":
    """The plan that the operator said yes to, made anew when it expired while they were thinking; None after a no.

    What is written down is judged again after their answer, and never made anew.
    """
    from keeper.cli.render import plan_table

    rebalancer, flattens = _rebalancer(desk, request), _flattens(request)
    while True:
        made = await rebalancer.plan(approved_jump=request.approved_jump, by=request.by)
        if flattens:
            # to flatten ends a halt: what it forbids is not forbidden any more then
            made = replace(made, refusals=tuple(refusal for refusal in made.refusals if refusal.code != "halted"))
        plan_table(made.document(), screen)
        if request.yes or ((made.refusals or not made.legs) and not flattens):
            return made
        with interruptible():
            if not typer.confirm("Send these orders?", err=True):
                return None
        if request.by is not None:
            return await rebalancer.plan(approved_jump=request.approved_jump, by=request.by)
        if desk.venue.clock.now() < made.expires_at:
            return made
        screen.print("That plan has expired; here is a fresh one.")


def _exit_code(run: "Run") -> int:
    from keeper.domain.run import RunStatus

    return {RunStatus.REFUSED: REFUSED, RunStatus.INCOMPLETE: INCOMPLETE}.get(run.status, 0)
