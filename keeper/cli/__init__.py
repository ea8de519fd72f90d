"""The command line. Command modules import only typer at the top; everything heavy is imported inside the command."""

import sys

import typer

from keeper.cli import acting, configuring, demo, journaling, killing, reading, running, settling, starting
from keeper.cli.options import Options
from keeper.cli.screen import let_go

USAGE = 64
ABORTED = 1
UNWRITABLE = 74

# Typer shows only this subclass of what all complaints about a command line have in common
_COMMAND_LINE_ERROR: type[typer.BadParameter] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

app = typer.Typer(
    name="keeper",
    help="Holds an exchange account at its target leverage or weights, and says what each rebalance cost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for module in (demo, starting, acting, running, killing, settling, reading, configuring, journaling):
    module.add_to(app)


def _version(*, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"keeper {version('rebalance-keeper')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    *,
    config: str = typer.Option(
        "", help="Configuration file; else KEEPER_CONFIG, ./keeper.toml, the user's configuration directory."
    ),
    log_level: str = typer.Option("", help="debug, info, warning or error; info where stderr is no terminal, else warning."),
    version: bool = typer.Option(False, "--version", is_eager=True, help="Print the version and exit."),
) -> None:
    _version(asked=version)
    context.obj = Options(config=config, log_level=log_level)


def main() -> None:
    """Run the command line and exit with one of the documented codes; never with a traceback for an operator's fault."""
    from keeper.domain.errors import KeeperError

    try:
        code = app(standalone_mode=False)
    except _COMMAND_LINE_ERROR as error:
        if words := error.format_message():
            _complain(f"{words} (see keeper --help)")
        code = USAGE
    except (typer.Abort, KeyboardInterrupt):
        _complain("aborted")
        code = ABORTED
    except KeeperError as error:
        _complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        code = 0
    except OSError as error:
        _complain(f"can't write what was to be printed: {error.strerror}")
        code = UNWRITABLE
    let_go()
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    from keeper.cli.screen import Unfailing

    for line in message.splitlines():
        Unfailing(sys.stderr).write(f"keeper: {line}\n")
