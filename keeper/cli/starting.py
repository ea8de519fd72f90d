"""`keeper init`: a first configuration, to be read and changed."""

from pathlib import Path

import typer

from keeper.cli.screen import console


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("init")(init)


def init(
    kind: str = typer.Argument("paper", help="paper, or binanceusdm for the testnet of Binance's USD-M futures."),
    file: Path = typer.Option(Path("keeper.toml"), "--file", help="Where to write it; never over a file that is there."),
) -> None:
    """Write a commented starter configuration: every option with its meaning and what holds without it."""
    from keeper.settings.starter import STARTERS, starter

    if kind not in STARTERS:
        raise typer.BadParameter(f"{kind!r} is not one of {', '.join(STARTERS)}")
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write(starter(kind))
    except FileExistsError as error:
        raise typer.BadParameter(f"{file} is there already: name another with --file, or move it away") from error
    except OSError as error:
        raise typer.BadParameter(f"can't write {file}: {error.strerror}") from error
    console().print(f"Wrote {file}. Next: keeper --config {file} plan", soft_wrap=True)
