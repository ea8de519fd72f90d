"""The command line. Command modules import only typer at the top; everything heavy is imported inside the command."""

import sys

import typer

from keeper.cli import (
    acting,
    approving,
    configuring,
    demo,
    doctoring,
    journaling,
    killing,
    nav,
    reading,
    running,
    settling,
    starting,
)
from keeper.cli.options import Options
from keeper.cli.screen import let_go, take_hold

USAGE = 64
ABORTED = 1
UNWRITABLE = 74
TOLD_BY_PRINT = (0, 2)
"""The codes of commands that came to what they were to: nothing is worse about them than that nobody could read it."""

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
for module in (demo, starting, doctoring, acting, approving, running, killing, settling, nav, reading, configuring, journaling):
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
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_version, help="Print the version and exit."),
) -> None:
    del version  # told, and over, before this is called
    context.obj = Options(config=config, log_level=log_level)


def main() -> None:
    """Run the command line and exit with one of the documented codes; never with a traceback for an operator's fault."""
    from keeper.domain.errors import KeeperError

    take_hold()
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
        _complain(_refused(error))
        code = UNWRITABLE
    code = code if isinstance(code, int) else 0
    failure = let_go()
    if failure is not None and code in TOLD_BY_PRINT:
        _complain(_refused(failure))
        code = UNWRITABLE
    sys.exit(code)


def _refused(error: OSError) -> str:
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}: check free space, owner and permissions of the file and of its directory"
    return f"can't write what was to be printed: {error.strerror}"


def _complain(message: str) -> None:
    from keeper.cli.screen import Unfailing

    for line in message.splitlines():
        Unfailing(sys.stderr).write(f"keeper: {line}\n")
