"""Turns of the event loop, for tests that must let others run without any time passing."""

from collections.abc import Generator


class _Turn:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def turns(count: int = 1) -> None:
    for _ in range(count):
        await _Turn()
