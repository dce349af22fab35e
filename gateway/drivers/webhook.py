"""Tells somebody's URL, by a POST of JSON, when a budget comes to 80 % or 100 % of its cap.

    {"tenant": "acme", "organisation": "globex", "scope": "tenant", "account": "acme",
     "meter": "usd", "per": "day", "rolling": false, "mode": "soft", "percent": 80, "cap": 50,
     "spent": 40.25, "resets_at": "2026-02-01T00:00:00Z", "at": "2026-01-31T12:00:00Z"}

`cap` and `spent` are in US dollars, tokens or requests, by `meter`; `per` is null for requests at
once. `spent` is with what is held for requests under way; `resets_at` is null where no time is
known. `tenant` is whose request it was. Nothing waits for it: a request only puts a note in a
queue.
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
from gateway.core.observers import Hears
from gateway.core.ports import Clock, Observer
from gateway.drivers.upstream.short_http import Answer, ask

TIMEOUT_S: Final = 5.0
WAITING: Final = 100
"""So many notes may wait; what comes beyond is dropped, and counted."""
PAUSES_S: Final = (1.0, 4.0, 16.0)
"""Between the tries."""
_GRACE_S: Final = 5.0
"""How long what waits may still be sent when the gateway stops."""
_AGAIN: Final = frozenset((408, 425, 429))
"""Of the answers below 500, those after which it is tried again."""
_HEADERS: Final = {"content-type": "application/json", "user-agent": "tollgate"}

_log: Final = logging.getLogger("gateway")

Post = Callable[[bytes], Answer]
"""Blocks. Raises OSError."""
Sleep = Callable[[float], Awaitable[None]]


class Webhook:
    """`observe` is an observer; `run` sends until it is cancelled. The URL is never shown."""

    def __init__(self, post: Post, observe: Observer, wall: Clock, sleep: Sleep) -> None:
        self._post = post
        self._tell = observe
        self._wall = wall
        self._sleep = sleep
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self.hears: Hears = {BudgetWarned: self.observe}

    def reconfigure(self, post: Post) -> None:
        """Whom to tell from now on, also of what waits."""
        self._post = post

    def observe(self, event: Event) -> None:
        if type(event) is not BudgetWarned or event.budget.mode == "shadow":
            return
        try:
            self._waiting.put_nowait(note(event, self._wall()))
        except asyncio.QueueFull:
            self._tell(AlertEnded("dropped"))

    async def run(self) -> None:
        while True:
            body = await self._waiting.get()
            try:
                await self._send(body)
            finally:
                self._waiting.task_done()

    async def flush(self) -> None:
        """Wait, briefly, until all that waits was sent."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), _GRACE_S)

    async def _send(self, body: bytes) -> None:
        why = ""
        for pause in (*PAUSES_S, None):
            try:
                status = (await _in_a_thread(partial(self._post, body))).status
            except OSError as error:
                why = type(error).__name__  # its text may hold the URL
            else:
                if 200 <= status < 300:
                    self._tell(AlertEnded("sent"))
                    return
                why = str(status)
                if status < 500 and status not in _AGAIN:
                    break
            if pause is not None:
                await self._sleep(pause)
        self._tell(AlertEnded("failed"))
        _log.warning("alerts.webhook took no warning: %s", why)


def poster(url: str) -> Post:
    return lambda body: ask(url, method="POST", headers=_HEADERS, body=body, timeout_s=TIMEOUT_S)


def note(event: BudgetWarned, unix_seconds: float) -> bytes:
    about, account, budget = event.about, event.account, event.budget
    resets_at = event.resets_at
    told: dict[str, Any] = {
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
        "resets_at": None if resets_at is None else _time(math.ceil(resets_at)),
        "at": _time(int(unix_seconds)),
    }
    return msgspec.json.encode(told)


def _amount(budget: Budget, amount: int) -> object:
    return msgspec.Raw(usd(amount).encode()) if budget.meter == "usd" else amount


def _time(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat().replace("+00:00", "Z")


async def _in_a_thread(post: Callable[[], Answer]) -> Answer:
    """In a thread that no exit waits for: a server may send a byte now and then, for ever. Raises
    OSError, also when it takes too long as a whole.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Answer] = loop.create_future()

    def settle(answer: Answer | OSError) -> None:
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
        with suppress(RuntimeError):  # the loop is gone, and with it who waited
            loop.call_soon_threadsafe(settle, answer)

    threading.Thread(target=work, name="webhook", daemon=True).start()
    return await asyncio.wait_for(done, TIMEOUT_S)
