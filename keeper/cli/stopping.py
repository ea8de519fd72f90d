"""What signals do to a command that trades: the first asks it to end in order, a second does not wait."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
