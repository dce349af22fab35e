"""Clients that disconnect before their answers have ended."""

import asyncio
from typing import Final

from gateway.handle import Life
from gateway.web.client import Client

_DRAINS: Final = 100
"""How many answers at once are read on for disconnected clients."""


class Leaving:
    """Cancels the requests of clients that disconnect: at once, or, if the route says so, after a
    while in which the answer is read on, up to its usage.
    """

    def __init__(self) -> None:
        self._timers: dict[Client, asyncio.TimerHandle] = {}
        """Of the requests that are read on."""

    def client_gone(self, client: Client, life: Life) -> None:
        for_s = life.abandon() if len(self._timers) < _DRAINS else 0.0
        if for_s:
            loop = client.task.get_loop()
            self._timers[client] = loop.call_later(for_s, client.task.cancel)
        else:
            client.task.cancel()

    def was_cancelled(self, client: Client) -> bool:
        """Whether the task was cancelled because the client left, and for no other reason."""
        return client.is_gone and client.task.uncancel() == 0

    def stop(self, client: Client) -> None:
        """Call it when the request's life has ended."""
        timer = self._timers.pop(client, None)
        if timer is not None:
            timer.cancel()
