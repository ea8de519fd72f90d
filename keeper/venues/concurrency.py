"""What is in flight at the same time, and what must not be."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def together(*reads: Awaitable[Any]) -> list[Any]:
    """The answers of reads that are in flight at the same time; the first failure cancels the rest and is raised."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def in_turn(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """``send``, which is ccxt's ``fetch``, where a signed request (one with headers) waits for those before it."""
    turn = asyncio.Lock()

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        if not headers:
            return await send(url, method, headers, body)
        async with turn:
            return await send(url, method, headers, body)

    return fetch
