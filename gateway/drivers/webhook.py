"""Posts JSON to a configured URL when a budget reaches 80 % or 100 % of its cap.

    {"tenant": "acme", "organisation": "globex", "scope": "tenant", "account": "acme",
     "meter": "usd", "per": "day", "rolling": false, "mode": "soft", "percent": 80, "cap": 50,
     "spent": 40.25, "resets_at": "2026-02-01T00:00:00Z", "at": "2026-01-31T12:00:00Z"}

`cap` and `spent` are in US dollars, tokens or requests, by `meter`; `per` is null for concurrent
requests. `spent` includes what is held for requests in flight; `resets_at` is null where no time is
known. `tenant` is the one whose request it was. No request waits for it: it only puts a message in
a queue.
"""

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec

from gateway.core.catalog import Budget
from gateway.core.events import AlertEnded, BudgetWarned, Event
from gateway.core.money import usd
from gateway.core.observers import Handlers
from gateway.core.ports import Clock, Observer
from gateway.drivers.upstream.short_http import Answer, send_request

TIMEOUT_S: Final = 5.0
MAX_WAITING: Final = 100
"""Messages that may wait; further ones are dropped, and counted."""
RETRY_PAUSES_S: Final = (1.0, 4.0, 16.0)
"""Between the attempts."""
_GRACE_S: Final = 5.0
"""How long waiting messages may still be sent when the gateway stops."""
_RETRY_STATUSES: Final = frozenset((408, 425, 429))
"""Statuses below 500 that are retried."""
_HEADERS: Final = {"content-type": "application/json", "user-agent": "tollgate"}

_log: Final = logging.getLogger("gateway")

Post = Callable[[bytes], Answer]
"""Blocks. Raises OSError."""
Sleep = Callable[[float], Awaitable[None]]


class Webhook:
    """`observe` is an observer; `run` sends until it is cancelled. The URL is never shown."""

    def __init__(self, post: Post, observe: Observer, wall: Clock, sleep: Sleep) -> None:
        self._post = post
        self._observe = observe
        self._wall = wall
        self._sleep = sleep
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self.handlers: Handlers = {BudgetWarned: self.observe}

    def reconfigure(self, post: Post) -> None:
        """Use this from now on, also for what waits."""
        self._post = post

    def observe(self, event: Event) -> None:
        if type(event) is not BudgetWarned or event.budget.mode == "shadow":
            return
        try:
            self._waiting.put_nowait(encode_warning(event, self._wall()))
        except asyncio.QueueFull:
            self._observe(AlertEnded("dropped"))

    async def run(self) -> None:
        while True:
            body = await self._waiting.get()
            try:
                await self._send(body)
            finally:
                self._waiting.task_done()

    async def flush(self) -> None:
        """Wait, briefly, until all waiting messages were sent. Nobody else will send the others:
        each is told once in a period.
        """
        try:
            await asyncio.wait_for(self._waiting.join(), _GRACE_S)
        except TimeoutError:
            unsent = self._waiting.qsize() + 1  # one is being sent
            _log.warning("alerts.webhook: %d warnings were not sent before the stop", unsent)

    async def _send(self, body: bytes) -> None:
        why = ""
        for pause in (*RETRY_PAUSES_S, None):
            try:
                status = (await _post_in_thread(partial(self._post, body))).status
            except OSError as error:
                why = type(error).__name__  # its text may contain the URL
            else:
                if 200 <= status < 300:
                    self._observe(AlertEnded("sent"))
                    return
                why = str(status)
                if status < 500 and status not in _RETRY_STATUSES:
                    break
            if pause is not None:
                await self._sleep(pause)
        self._observe(AlertEnded("failed"))
        _log.warning("alerts.webhook took no warning: %s", why)


def make_post(url: str) -> Post:
    """Its status says whether the warning was taken, however long the body behind it takes."""
    return lambda body: send_request(
        url, method="POST", headers=_HEADERS, body=body, timeout_s=TIMEOUT_S, max_body=0
    )


def encode_warning(event: BudgetWarned, unix_seconds: float) -> bytes:
    about, account, budget = event.about, event.account, event.budget
    resets_at = event.resets_at
    fields: dict[str, Any] = {
        "tenant": about.tenant,
        "organisation": about.organisation or None,
        "scope": account.scope,
        "account": account.name,
        "meter": budget.meter,
        "per": None if budget.meter == "at_once" else budget.per,
        "rolling": budget.rolling,
        "mode": budget.mode,
        "percent": event.percent,
        "cap": _amount(budget, budget.cap),
        "spent": _amount(budget, event.spent),
        "resets_at": None if resets_at is None else _iso_time(math.ceil(resets_at)),
        "at": _iso_time(int(unix_seconds)),
    }
    return msgspec.json.encode(fields)


def _amount(budget: Budget, amount: int) -> object:
    return msgspec.Raw(usd(amount).encode()) if budget.meter == "usd" else amount


def _iso_time(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat().replace("+00:00", "Z")


async def _post_in_thread(post: Callable[[], Answer]) -> Answer:
    """In a daemon thread, which cannot block the exit: a server may drip bytes for ever. Raises
    OSError, also when the whole takes too long.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Answer] = loop.create_future()

    def resolve(answer: Answer | OSError) -> None:
        if done.done():
            return
        if isinstance(answer, OSError):
            done.set_exception(answer)
        else:
            done.set_result(answer)

    def work() -> None:
        answer: Answer | OSError
        try:
            answer = post()
        except OSError as error:
            answer = error
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            loop.call_soon_threadsafe(resolve, answer)

    threading.Thread(target=work, name="webhook", daemon=True).start()
    return await asyncio.wait_for(done, TIMEOUT_S)
