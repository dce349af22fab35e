"""What a client that asked for a stream is sent, message by message."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import structs

from gateway.core.errors import Broken, NoAnswer, ShuttingDown
from gateway.core.events import Denied, Dropped
from gateway.handle import Life
from gateway.web.client import Lines, Pairs, pairs_of
from gateway.web.render_stream import DONE, KEEP_ALIVE
from gateway.web.session import Session
from gateway.web.stream import ClientStream
from tests.lives import Stage, Turn, fails, faulty, poor, says, stage, told, well, whole

NEVER_S = 1_000.0


def the_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


@dataclass
class Client:
    """What it was sent; `heard` is set once something is."""

    headers: Pairs = field(default_factory=list)
    session: Session | None = None
    whole: bytes | None = None
    is_gone: bool = False
    life: Life | None = None
    task: asyncio.Task[Any] = field(default_factory=the_task)
    heads: list[dict[str, str]] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    ended: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    waits_for: bytes = b""

    async def begin(self, status: int, headers: Lines) -> None:
        await asyncio.sleep(0)
        assert not self.heads, "a second head"
        assert status == 200
        self.heads.append({name.decode(): value.decode() for name, value in pairs_of(headers)})

    async def write(self, data: bytes) -> None:
        await asyncio.sleep(0)
        assert self.heads, "data before the head"
        assert not self.ended, f"sent after the end: {data!r}"
        self.data.append(data)
        if self.waits_for and self.data.count(self.waits_for) == 2:
            self.heard.set()

    def send(self, data: bytes) -> bool:
        self.sent.append(data)
        return False

    async def drain(self) -> None:
        sent, self.sent = self.sent, []
        for data in sent:
            await self.write(data)

    async def end(self, data: bytes) -> None:
        await self.drain()
        await self.write(data)
        self.ended = True

    async def body(self, most: int) -> bytes:
        raise NotImplementedError

    def reply(self, status: int, headers: Lines, body: bytes) -> bool:
        raise NotImplementedError

    @property
    def events(self) -> list[Any]:
        lines = [line for line in b"".join(self.data).split(b"\n\n") if line[:6] == b"data: "]
        return [json.loads(line[6:]) for line in lines if line != DONE.strip()]

    @property
    def text(self) -> str:
        chunks = [event for event in self.events if event.get("choices")]
        return "".join(c["delta"].get("content") or "" for e in chunks for c in e["choices"])


def scene(asked: str, turns: dict[str, Sequence[Turn]], far: str = "") -> Stage:
    return stage(asked, turns, stream=True, far=far)


async def listen(scene: Stage, quiet_s: float = NEVER_S) -> Client:
    client = Client()
    await ClientStream(scene.life, client, quiet_s).run()
    return client


@pytest.mark.parametrize(("asked", "held"), [("open", False), ("judged", False), ("vote", True)])
async def test_an_answer_flowing_or_held(asked: str, held: bool) -> None:
    life = scene(asked, {"a": [well], "b": [well]})
    client = await listen(life)
    assert client.text == "GOOD one"
    assert client.data[-1].endswith(DONE)
    assert client.ended
    (head,) = client.heads
    assert head["content-type"] == "text/event-stream; charset=utf-8"
    assert head["x-gateway-model"] == "a"
    assert ("x-gateway-cost-usd" in head) is held
    assert {event["model"] for event in client.events} == {"a"}
    await whole(life)


async def test_nothing_sent_yet_the_error_is_raised() -> None:
    life = scene("judged", {name: [faulty] for name in "abcd"})
    client = Client()
    with pytest.raises(NoAnswer):
        await ClientStream(life.life, client, NEVER_S).run()
    assert client.heads == []


async def test_a_break_is_an_error_event_and_no_done() -> None:
    life = scene("open", {"a": [fails(Broken("cut"), "GOOD ")]})
    client = await listen(life)
    assert client.text == "GOOD "
    assert client.events[-1] == {
        "error": {"message": "cut", "type": "upstream_error", "param": None, "code": "broken"}
    }
    assert DONE not in b"".join(client.data)
    assert client.ended
    await whole(life)


async def test_a_bug_in_the_middle_is_an_error_event_too(caplog: pytest.LogCaptureFixture) -> None:
    life = scene("open", {"a": [fails(RuntimeError("our secret"), "GOOD ")]})
    with caplog.at_level(logging.CRITICAL, logger="gateway"):
        client = await listen(life)
    assert client.events[-1]["error"]["message"] == "Internal error."
    assert DONE not in b"".join(client.data)
    await whole(life)


async def begun(life: Stage) -> tuple[Client, "asyncio.Task[None]"]:
    """A client that has heard two comments while its answer is held."""
    client = Client(waits_for=KEEP_ALIVE)
    task = asyncio.create_task(ClientStream(life.life, client, 0.001).run())
    await asyncio.wait_for(client.heard.wait(), 30)
    return client, task


async def test_comments_while_an_answer_is_held() -> None:
    life = scene("judged", {"a": [well]}, far="send")
    client, task = await begun(life)
    life.far.gate.set()
    await task
    assert client.data[:2] == [KEEP_ALIVE, KEEP_ALIVE]
    assert client.text == "GOOD one"
    assert client.data[-1].endswith(DONE)
    assert client.heads[0]["x-request-id"] == "r"
    await whole(life)


async def test_after_a_comment_an_error_is_an_event_and_no_done() -> None:
    life = scene("judged", {name: [faulty] for name in "abcd"}, far="send")
    client, task = await begun(life)
    life.far.gate.set()
    await task
    assert client.events[-1]["error"]["code"] == "no_answer"
    assert DONE not in b"".join(client.data)
    assert client.ended
    await whole(life)


async def test_a_client_that_leaves_after_comments() -> None:
    life = scene("judged", {"a": [poor]}, far="send")
    _, task = await begun(life)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(told(life, Dropped)) == 1
    await whole(life)


async def test_a_client_that_leaves_before_the_head_of_a_flow_is_out() -> None:
    """The flow has begun, nobody has read it: it is closed and settled all the same."""
    life = scene("open", {"a": [says("x")]})
    sending = asyncio.Event()

    class Stuck(Client):
        async def begin(self, status: int, headers: Lines) -> None:
            sending.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(ClientStream(life.life, Stuck(), NEVER_S).run())
    await sending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(told(life, Dropped)) == 1
    await whole(life)


@pytest.mark.parametrize("asked", ["open", "judged", "hedge"])
@pytest.mark.parametrize("waits_at", ["begin", "drain"])
async def test_a_stop_while_the_client_is_slow_is_no_leave_of_the_client(
    waits_at: str, asked: str
) -> None:
    life = scene(asked, {name: [says("GOOD ", "one")] for name in "ab"})
    waits = asyncio.Event()

    class Slow(Client):
        async def begin(self, status: int, headers: Lines) -> None:
            if waits_at == "begin":
                await self.drain()

        async def drain(self) -> None:
            waits.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(ClientStream(life.life, Slow(), NEVER_S).run())
    await waits.wait()
    task.cancel(ShuttingDown.code)
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert raised.value.args == (ShuttingDown.code,)
    assert not told(life, Dropped)
    (denied,) = told(life, Denied)
    assert (denied.code, denied.status) == ("shutting_down", 503)
    await whole(life)


async def test_a_client_that_asked_for_usage_gets_it_last() -> None:
    life = scene("open", {"a": [well]})
    life.life.request = structs.replace(life.life.request, include_usage=True)
    client = await listen(life)
    usage = client.events[-1]
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 5)
    assert usage["usage"]["gateway"]["cost_usd"] == 15e-9
