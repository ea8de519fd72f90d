"""How what trades is stopped: a first signal asks it to end in order, a second does not wait; and what a human can do."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keeper.settings.sources import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping_on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """SIGINT, SIGTERM and a closed terminal call ``stop`` with the reason; the next of them cancels the task in hand."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    seen: set[int] = set()

    def signalled(number: int) -> None:
        if seen and task is not None:
            task.cancel()
            return
        seen.add(number)
        stop(f"stopped by {signal.Signals(number).name}")

    # who started us with nohup wants us to outlive the terminal
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, signalled, number)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)


def by_hand(settings: "Settings | None") -> str:
    """How an operator stops what Keeper can't: the processes that hold an account beside the journal, by their ids.

    settings: None where they can't be read, so that nobody knows where the journal lies.
    """
    from keeper.journal.database import directory_of
    from keeper.journal.lock import holders

    if settings is None:
        return "a daemon's process id is the first word of the *.lock file beside its journal: stop it with kill PID"
    directory = directory_of(settings.journal_url)
    found = [holder.partition(" ") for holder in holders(directory)]
    if not found:
        return f"no process holds an account in {directory}"
    told = ", ".join(f"kill {pid} ({command})" for pid, _, command in found)
    return f"stop what trades yourself: {told}"
