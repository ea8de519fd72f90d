"""structlog to stderr: readable lines on a terminal, JSON elsewhere. No locals of a traceback are ever printed."""

import logging
import sys
from typing import TextIO, cast

import structlog
import typer

from keeper.cli.screen import Unfailing

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def start(level: str) -> None:
    """Configure the log. level: a key of LEVELS, or empty for the default. A usage error for anything else."""
    terminal = sys.stderr.isatty()
    chosen = level.lower() or ("warning" if terminal else "info")
    if chosen not in LEVELS:
        raise typer.BadParameter(f"--log-level {level!r} is not one of {', '.join(LEVELS)}")
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[chosen]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", Unfailing(sys.stderr))),
        cache_logger_on_first_use=False,
    )
