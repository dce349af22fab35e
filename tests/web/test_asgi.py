"""A client of an ASGI server: what is sent at once leaves in order, whatever comes then."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from gateway.outbox import outbox
from gateway.web.asgi import AsgiClient

Message = MutableMapping[str, Any]


async def never() -> Message:
    raise NotImplementedError


def nobody(_: AsgiClient) -> None:
    raise AssertionError("it did not go away")


@pytest.mark.parametrize("waits", [False, True], ids=["sent", "sent and waited for"])
async def test_what_is_sent_leaves_before_what_comes_then(waits: bool) -> None:
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    client = AsgiClient((), never, send, nobody)
    await client.begin(200, b"")
    assert not client.send(b"one "), "it is to be waited for"
    client.send(b"two ")
    if waits:
        await client.drain()
        assert [message.get("body", b"") for message in told] == [b"", b"one two "]
    await client.end(b"three")
    assert b"".join(message.get("body", b"") for message in told) == b"one two three"
    assert [message.get("more_body", False) for message in told[1:]] == [True] * waits + [False]


@pytest.mark.parametrize("how", ["reply", "begin", "write", "end"])
async def test_what_must_go_first_does(how: str) -> None:
    """A server that writes by itself is no way round the ledger's commands."""
    told: list[str] = []

    async def send(message: Message) -> None:
        told.append(str(message["type"]))

    client = AsgiClient((), never, send, nobody)
    if how in ("write", "end"):
        await client.begin(200, b"")
        told.clear()
    outbox().first(lambda: told.append("settle"))
    if how == "reply":
        client.reply(200, b"", b"whole")
        await client.drain()
    elif how == "begin":
        await client.begin(200, b"")
    else:
        await (client.write if how == "write" else client.end)(b"some")
    assert told[0] == "settle"
    assert len(told) > 1
