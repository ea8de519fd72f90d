"""What happened in a world, line by line: to be read by whoever replays a seed, and to be compared by its hash."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog


class Trace:
    """clock: the exchange's."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.lines: list[tuple[datetime, str, str, str]] = []

    def add(self, who: str, what: str, details: str = "") -> None:
        self.lines.append((self._clock(), who, what, details))

    def text(self) -> list[str]:
        """One line for each event."""
        return [f"{at:%d %H:%M:%S.%f} {who:<9} {what} {details}".rstrip() for at, who, what, details in self.lines]

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.text()).encode()).hexdigest()


@contextmanager
def followed(trace: Trace) -> Iterator[None]:
    """What is logged inside goes to ``trace``, and nowhere else."""

    def collect(_logger: Any, level: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        words = " ".join(f"{key}={value}" for key, value in event.items() if key != "event")
        trace.add("log", f"{level} {event['event']}", words)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.contextvars.clear_contextvars()
    structlog.configure(
        processors=[collect],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
