"""Connections on which an exchange streams, as ccxt keeps them, made to fail aloud.

By itself ccxt stops listening on a connection, without a word and without an end, once a message comes that it can't read; and
after an error that is about no stream in particular it may take one for followed, or an account for logged in, that is not.
"""

from typing import Any

from keeper.domain.errors import StaleData
from keeper.venues import verdicts


def fail_aloud(exchange: Any) -> None:
    """Have every connection that an instance of ccxt opens from now on end with the first thing that goes wrong on it.

    Whoever waits for something on such a connection is told of it, and the next one who asks opens another.
    """
    known = exchange.client

    def client(url: str) -> Any:
        found = known(url)
        if "handle_message" not in vars(found):
            _watch_over(found)
        return found

    exchange.client = client


def give_up(exchange: Any, symbol: str) -> None:
    """End the connections on which the book of a market is followed: the exchange tells it whole on the next one."""
    for client in list((exchange.clients or {}).values()):
        if any(about.endswith(f":{symbol}") for about in client.subscriptions):
            client.on_error(StaleData(f"the stream of {symbol} is given up"))


def _watch_over(client: Any) -> None:
    handle, reject = client.handle_message, client.reject

    def handle_message(message: Any) -> None:
        try:
            handle(message)
        except verdicts.wire_faults() as error:
            client.on_error(error)

    def rejected(error: Any, about: str | None = None) -> Any:
        if about is None and client.error is None:
            client.on_error(error)  # which rejects everything, and takes the connection off the list
            return error
        return reject(error, about)

    client.handle_message, client.reject = handle_message, rejected
