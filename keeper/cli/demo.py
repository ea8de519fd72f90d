"""`keeper demo`: a paper fund that drifted, brought back to its target in front of you. No keys, no network, no files."""

from decimal import Decimal
from pathlib import Path

import typer

from keeper.cli.options import Options

NAV = Decimal(100_000)
PRICE = Decimal(60_000)
LOT = Decimal("0.001")
SYMBOL = "BTC/USDT:USDT"
SMALLEST_TARGET, LARGEST_TARGET = Decimal("0.1"), Decimal(5)
CONFIGURATION = """\
# Written by `keeper demo`. A paper fund of 100,000 USDT that held {target}x BTC at 60,000, and the price went to {price}.
[keeper]
journal = "sqlite:///{directory}/keeper.db"

[venues.sim]
exchange = "paper"

[venues.sim.feed]
kind = "synthetic"
seed = {seed}
speed = 150                       # venue seconds per real second
volatility = 0.6                  # a year's
spread_bps = 0.1
daily_volume = "15000000000"
prices = {{ "{symbol}" = "{price}" }}
markets."{symbol}" = {{ tick = "0.1", lot = "0.001", min_amount = "0.001", min_cost = "5", taker_bps = 5, maker_bps = 2 }}

[venues.sim.account]
balances = {{ USDT = "100000" }}
positions = {{ "{symbol}" = {{ contracts = "{contracts}", entry = "60000" }} }}

[funds.btc]
venue = "sim"
target = {{ "{symbol}" = {target} }}
schedule = {{ at = "00:15", timezone = "UTC" }}
execution = {{ style = "twap", horizon = "10m", slices = 10, max_depth = 0.2 }}
limits = {{ max_order_notional = 250000, max_turnover_per_day = 6, max_slippage_bps = 30, max_leverage = 5 }}
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    move: str = typer.Option("5%", help="How the price moved since the last rebalance, such as 5% or -4%."),
    target: str = typer.Option("3", help="Leverage to hold, such as 3, -2 or 1.5."),
    seed: int = typer.Option(7, min=0, max=2**31 - 1, help="Of the market: the same seed gives the same market."),
    directory: str = typer.Option(
        "", "--dir", help="Keep configuration, journal and report here; else in a new temporary folder."
    ),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print the finished run as one JSON document."),
) -> None:
    """Watch a 3x fund that drifted be brought back to 3x, on a paper exchange, in a few seconds."""
    from keeper.cli.acting import run_now
    from keeper.cli.reading import write_page
    from keeper.cli.screen import console
    from keeper.settings.loading import load

    options: Options = context.obj
    options.start_log(default="warning")
    folder = _folder(directory)
    page, file = folder / "report.html", folder / "keeper.toml"
    held, moved = _target(target), _move(move)
    if 1 + held * moved <= 0:
        raise typer.BadParameter(f"--move {move} leaves nothing of a fund at {target}x: choose a smaller move")
    write_page(file, configuration(held, moved, seed, folder))
    screen = console(stderr=as_json)
    percent = f"{move.removesuffix('%').strip()} %"
    screen.print(f"A paper fund of 100,000 USDT held {target}x BTC at 60,000. Then the price moved by {percent}.\n")
    code = run_now(load(file, {}), "btc", yes=True, as_json=as_json, reason="demo", html=page)
    screen.print(f"\nThe report is {page}", soft_wrap=True)
    screen.print("Try next:")
    for command in ("keeper demo --move -4%", "keeper demo --target -2", f"keeper --config {file} status"):
        screen.print(f"  {command}", soft_wrap=True, style="bold")
    raise typer.Exit(code)


def configuration(target: Decimal, move: Decimal, seed: int, directory: Path) -> str:
    """The demo's configuration file. target: multiple of NAV; move: fraction."""
    from keeper.domain.numbers import plain, truncate

    price = truncate(PRICE * (1 + move), Decimal("0.1"))
    return CONFIGURATION.format(
        directory=directory,
        seed=seed,
        symbol=SYMBOL,
        target=plain(target),
        price=plain(price),
        contracts=plain(truncate(target * NAV / PRICE, LOT)),
    )


def _folder(directory: str) -> Path:
    import tempfile

    if not directory:
        return Path(tempfile.mkdtemp(prefix="keeper-demo-"))
    folder = Path(directory).absolute()
    if (folder / "keeper.db").exists():
        raise typer.BadParameter(f"--dir {folder} holds a journal already: name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"--dir {folder}: {error.strerror}") from error
    return folder


def _target(text: str) -> Decimal:
    from keeper.domain.numbers import parse_plain

    try:
        target = parse_plain(text)
    except ValueError as error:
        raise typer.BadParameter(f"--target {error}") from None
    if not (SMALLEST_TARGET <= abs(target) <= LARGEST_TARGET):
        allowed = f"between {SMALLEST_TARGET} and {LARGEST_TARGET}, or between -{LARGEST_TARGET} and -{SMALLEST_TARGET}"
        raise typer.BadParameter(f"--target {text} must be {allowed}")
    return target


def _move(text: str) -> Decimal:
    from keeper.domain.numbers import parse_plain

    try:
        move = parse_plain(text.removesuffix("%").strip()) / 100
    except ValueError:
        raise typer.BadParameter(f"--move {text!r} is not a percentage such as 5% or -4%") from None
    if not (abs(move) <= Decimal("0.5")):
        raise typer.BadParameter(f"--move {text} must be between -50% and 50%")
    return move
