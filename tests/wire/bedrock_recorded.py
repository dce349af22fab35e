"""The recorded exchanges with Bedrock, and what is understood of them."""

import json
from typing import Any, Final

from gateway.core.chat import Completion
from gateway.wire import DIALECTS
from gateway.wire.dialect import Dialect
from gateway.wire.eventstream import EventStreamReader
from tests.recordings import Recording, recordings
from tests.wire.bedrock_streams import CLAUDE, read
from tests.wire.chats import assembled

RECORDED: Final = recordings("bedrock")
ANSWERS: Final = [each for each in RECORDED if each.status == 200]
STREAMED: Final = [each for each in ANSWERS if each.streamed]
CONVERSE: Final = [each for each in ANSWERS if "/converse" in each.file]
INVOKE: Final = [each for each in ANSWERS if "/invoke" in each.file]


def name(recording: Recording) -> str:
    return recording.file.removeprefix("bedrock/").removesuffix(".json")


def dialect(recording: Recording) -> Dialect:
    return DIALECTS["bedrock-invoke" if "/invoke" in recording.file else "bedrock"]


def whole(recording: Recording) -> Completion:
    if recording.streamed:
        return assembled(read([recording.body], dialect(recording).decoder))
    return dialect(recording).decode(200, recording.headers, recording.body, CLAUDE)


def understood(completion: Completion) -> dict[str, Any]:
    choice = completion.first
    return {
        "content": choice.text or "",
        "thinking": choice.reasoning or "",
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": json.loads(call.arguments)}
            for call in choice.tool_calls
        ],
        "finish": choice.finish,
        "usage": completion.usage,
    }


def events(recording: Recording) -> list[tuple[str, dict[str, Any]]]:
    reader = EventStreamReader()
    messages = reader.feed(recording.body)
    return [(each.text(":event-type"), json.loads(each.payload)) for each in messages]
