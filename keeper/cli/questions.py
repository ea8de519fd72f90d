"""Questions to the operator. Where nobody can be asked, --yes must have answered."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer


def must_have_terminal(command: str, *, yes: bool) -> None:
    """A usage error where ``command`` would have to ask and there is no terminal to ask on."""
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter(f"there is no terminal to ask on: add --yes to {command} without being asked")


def agreed(question: str, *, yes: bool) -> bool:
    """Whether the operator says yes, or has said so before."""
    if yes:
        return True
    with interruptible():
        return typer.confirm(question, err=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a question: the event loop's own handler would only take note of it until the answer came."""
    import signal

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
