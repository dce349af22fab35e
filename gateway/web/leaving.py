"""Clients that go away before their answers have ended."""

import asyncio
from typing import Final

from gateway.handle import Life
from gateway.web.client import Client

_DRAINS: Final = 100
"""How many answers are read on at once for clients that are gone."""


class Leaving:
    """What becomes of a request whose client goes away: it is cancelled, now or after a while in
    which its answer is read on.
    """

    def __init__(self) -> None:
        self._timers: dict[Client, asyncio.TimerHandle] = {}
        """Of those that are read on."""

    def client_gone(self, client: Client, life: Life) -> None:
        for_s = life.abandon() if len(self._timers) < _DRAINS else 0.0
        if for_s:
            loop = client.task.get_loop()
            self._timers[client] = loop.call_later(for_s, client.task.cancel)
        else:
            client.task.cancel()

    def was_cancelled(self, client: Client) -> bool:
        """Whether that is why the task was cancelled, and nothing else."""
        return client.is_gone and client.task.uncancel() == 0

    def stop(self, client: Client) -> None:
        """Its life has ended."""
        timer = self._timers.pop(client, None)
        if timer is not None:
            timer.cancel()
