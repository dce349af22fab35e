"""What somebody's URL is told of a budget, and what becomes of a note that cannot be sent."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Final

import pytest

from gateway.core.accounts import Account
from gateway.core.catalog import Budget
from gateway.core.events import About, AlertEnded, Began, BudgetWarned, Event
from gateway.drivers import webhook
from gateway.drivers.upstream.short_http import Answer
from gateway.drivers.webhook import MAX_WAITING, Webhook, encode_warning, make_post
from tests.drivers.endpoints import endpoint

ABOUT: Final = About("r1", "acme", "auto", stream=False, organisation="globex", user="ada")
OWN: Final = Account("tenant", "acme", (), "acme")
ADA: Final = Account("user", "ada", (), "acme")
SOFT: Final = BudgetWarned(
    ABOUT, OWN, Budget(50 * 10**9, "day", mode="soft"), 80, 40_250_000_000, 1_769_904_000
)
NOON: Final = 1_769_860_800.9
SENT: Final = AlertEnded("sent")
FAILED: Final = AlertEnded("failed")
SHARED: Final[dict[str, object]] = {
    "tenant": "acme",
    "organisation": "globex",
    "rolling": False,
    "at": "2026-01-31T12:00:00Z",
}

# what came to its end -> what is told beside SHARED
NOTES: Final[dict[str, tuple[BudgetWarned, dict[str, object]]]] = {
    "soft": (
        SOFT,
        {"scope": "tenant", "account": "acme", "meter": "usd", "per": "day", "mode": "soft",
         "percent": 80, "cap": 50, "spent": 40.25, "resets_at": "2026-02-01T00:00:00Z"},
    ),
    "hard, of a user": (
        BudgetWarned(ABOUT, ADA, Budget(1, "month"), 100, 2, 1e9 + 0.1),
        {"scope": "user", "account": "ada", "meter": "usd", "per": "month", "mode": "hard",
         "percent": 100, "cap": 1e-9, "spent": 2e-9, "resets_at": "2001-09-09T01:46:41Z"},
    ),
    "rolling tokens": (
        BudgetWarned(ABOUT, OWN, Budget(7, "hour", "tokens", rolling=True), 80, 6),
        {"scope": "tenant", "account": "acme", "meter": "tokens", "per": "hour", "mode": "hard",
         "percent": 80, "cap": 7, "spent": 6, "resets_at": None, "rolling": True},
    ),
    "at once": (
        BudgetWarned(ABOUT, OWN, Budget(7, "total", "at_once"), 100, 7),
        {"scope": "tenant", "account": "acme", "meter": "at_once", "per": None, "mode": "hard",
         "percent": 100, "cap": 7, "spent": 7, "resets_at": None},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("event", "told"), NOTES.values(), ids=NOTES)
def test_what_is_told(event: BudgetWarned, told: dict[str, object]) -> None:
    assert json.loads(encode_warning(event, NOON)) == SHARED | told


def test_a_tenant_without_an_organisation() -> None:
    about = About("r1", "acme", "auto", stream=False)
    event = BudgetWarned(about, OWN, SOFT.budget, 80)
    assert json.loads(encode_warning(event, NOON))["organisation"] is None


class Sending:
    """A webhook with a `post` of its own, its pauses, and how each note ended."""

    def __init__(self, post: Callable[[bytes], Answer]) -> None:
        self.ended: list[Event] = []
        self.pauses: list[float] = []
        self.webhook = Webhook(post, self._tell, lambda: NOON, self._sleep)

    def _tell(self, event: Event) -> None:
        self.ended.append(event)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def run(self) -> list[Event]:
        """Until all that waits has ended."""
        task = asyncio.create_task(self.webhook.run())
        await self.webhook.flush()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self.ended


async def test_a_post_of_json_to_the_url() -> None:
    with endpoint({"POST /hook/s3cret": (204, "")}) as there:
        sending = Sending(make_post(f"{there.url}/hook/s3cret?key=a"))
        sending.webhook.observe(SOFT)
        assert await sending.run() == [SENT]
        (asked,) = there.asked
    assert (asked.method, asked.path) == ("POST", "/hook/s3cret?key=a")
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(asked.body) == SHARED | NOTES["soft"][1]


@pytest.mark.parametrize(
    ("event", "count"),
    [
        (Began(ABOUT), 0),
        (BudgetWarned(ABOUT, OWN, Budget(5, "day", mode="shadow"), 100), 0),
        (BudgetWarned(ABOUT, OWN, Budget(5, "day"), 80), 1),
        (SOFT, 1),
    ],
)
async def test_which_events_are_told(event: Event, count: int) -> None:
    sending = Sending(lambda body: Answer(200, {}, b""))
    sending.webhook.observe(event)
    assert await sending.run() == [SENT] * count


def answers(*ends: int | OSError) -> Callable[[bytes], Answer]:
    """One after the other."""
    left = iter(ends)

    def post(body: bytes) -> Answer:
        end = next(left)
        if isinstance(end, OSError):
            raise end
        return Answer(end, {}, b"")

    return post


DOWN: Final = OSError("https://h/s3cret refused")

# what each try gets -> how it ends, and how often it paused before
TRIES: Final = {
    "at once": ((200,), SENT, 0),
    "after an error": ((DOWN, 202), SENT, 1),
    "after errors of theirs": ((500, 503, 599, 200), SENT, 3),
    "busy": ((429, 408, 425, 200), SENT, 3),
    "never": ((DOWN, 500, DOWN, 500), FAILED, 3),
    "refused for good": ((400,), FAILED, 0),
    "gone": ((500, 410), FAILED, 1),
    "a redirect is not followed": ((302,), FAILED, 0),
}


@pytest.mark.parametrize(("ends", "outcome", "pauses"), TRIES.values(), ids=TRIES)
async def test_it_is_tried_again(
    ends: tuple[int | OSError, ...],
    outcome: AlertEnded,
    pauses: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    sending = Sending(answers(*ends))
    sending.webhook.observe(SOFT)
    assert await sending.run() == [outcome]
    assert sending.pauses == [1.0, 4.0, 16.0][:pauses]
    assert len(caplog.records) == (outcome == FAILED)
    assert "s3cret" not in caplog.text


async def test_what_is_too_much_is_dropped_and_counted_and_nobody_waits() -> None:
    open_again = threading.Event()

    def post(body: bytes) -> Answer:
        open_again.wait()
        return Answer(200, {}, b"")

    sending = Sending(post)
    for _ in range(MAX_WAITING + 3):
        sending.webhook.observe(SOFT)
    assert sending.ended == [AlertEnded("dropped")] * 3
    open_again.set()
    await sending.run()
    assert sending.ended[3:] == [SENT] * MAX_WAITING


async def test_a_warning_that_was_taken_is_not_sent_again_for_a_body_without_an_end() -> None:
    """Whoever is told by it would be told four times."""
    posts = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal posts
        await reader.readuntil(b"\r\n\r\n")
        posts += 1
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nok")
        await reader.read()  # until we leave
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        sending = Sending(make_post(f"http://{host}:{port}/"))
        sending.webhook.observe(SOFT)
        assert await sending.run() == [SENT]
    assert posts == 1


async def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.02)
    hanging, released = [], threading.Event()

    def post(body: bytes) -> Answer:
        hanging.append(threading.current_thread())
        released.wait()
        return Answer(200, {}, b"")

    sending = Sending(post)
    sending.webhook.observe(SOFT)
    assert await sending.run() == [FAILED]
    released.set()
    assert (len(hanging), all(thread.daemon for thread in hanging)) == (4, True)


async def test_a_stop_does_not_wait_for_ever_and_tells_what_was_not_sent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhook, "_GRACE_S", 0.02)
    released = threading.Event()

    def post(body: bytes) -> Answer:
        released.wait()
        return Answer(200, {}, b"")

    sending = Sending(post)
    for _ in range(3):
        sending.webhook.observe(SOFT)
    async with asyncio.timeout(20):
        assert await sending.run() == []
    released.set()
    assert caplog.messages == ["alerts.webhook: 3 warnings were not sent before the stop"]
