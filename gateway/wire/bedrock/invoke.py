"""`invoke` and `invoke-with-response-stream`: the model's native body, wrapped by Bedrock.

Requests are those of the Messages API, without `model` and `stream`. Answers may have three shapes:
that API's, Converse's (Nova), and text completions (see completions).

A guardrail of the account replaces an answer by its own text. Only `amazon-bedrock-guardrailAction`
says so, beside the model's fields: `stop_reason` may be the model's (AWS, API reference of
InvokeModel; NousResearch/hermes-agent#107815). Converse has a `stopReason` for it.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, field, structs

from gateway.core.chat import ChatRequest, Completion, Delta
from gateway.core.errors import Broken
from gateway.wire import claude
from gateway.wire.bedrock import completions, reply
from gateway.wire.bedrock.completions import TextAnswer
from gateway.wire.bedrock.events import EventDecoder
from gateway.wire.bedrock.faults import fault, read
from gateway.wire.bedrock.request import auth, path
from gateway.wire.bedrock.stream import EVENTS, Converse
from gateway.wire.dialect import Dialect, HttpCall, StreamDecoder, Target

VERSION: Final = "bedrock-2023-05-31"
_BLOCKED: Final = "content_filter"
_NOT_IN_BODY: Final = frozenset({"model", "stream"})


class _Chunk(Struct):
    content: str = field(name="bytes", default="")


class Invoke:
    """A dialect that wraps `messages`, the dialect of the Messages API."""

    def __init__(self, messages: Dialect) -> None:
        self._messages = messages

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
        """Raises InvalidRequest, naming the field, for what the API cannot express."""
        call = self._messages.encode(request, target, stream=stream)
        fields = msgspec.json.decode(call.body, type=dict[str, Raw])
        claude.refuse_anthropic_only(fields, "Bedrock")
        dropped = claude.drop_automatic_caching(fields, call.dropped)
        body: dict[str, Any] = {"anthropic_version": VERSION}
        betas = call.headers.get("anthropic-beta")
        if betas:
            body["anthropic_beta"] = betas.split(",")
        body |= {name: raw for name, raw in fields.items() if name not in _NOT_IN_BODY}
        operation = "invoke-with-response-stream" if stream else "invoke"
        return structs.replace(
            call,
            path=path(target.upstream, operation),
            headers={"content-type": "application/json"},
            content=msgspec.json.encode(body),
            dropped=dropped,
        )

    def decode(
        self, status: int, headers: Mapping[str, str], body: bytes, target: Target
    ) -> Completion:
        """A whole answer. Raises UpstreamError for anything else. Header names are lower case."""
        if status != 200:
            raise fault(status, headers, body)
        fields = read(body, dict[str, Raw])
        names = fields.keys()
        if "output" in names:
            answer = reply.decode(status, headers, body, target)
        elif "content" not in names and names & completions.MARKER_FIELDS:
            answer = completions.parse_completion(read(body, dict[str, Any]), headers)
        else:
            answer = self._messages.decode(status, headers, body, target)
        if not _is_blocked(fields):
            return answer
        choices = tuple(structs.replace(each, finish=_BLOCKED) for each in answer.choices)
        return structs.replace(answer, choices=choices)

    def decoder(self, target: Target) -> EventDecoder:
        """A decoder for a streamed answer with status 200."""
        answer = _Answer(self._messages.decoder(target), target.upstream)
        return EventDecoder(answer, lambda body: self.decode(200, {}, body, target))

    def auth(self, api_key: str) -> Mapping[str, str]:
        """The header that carries a Bedrock API key; without one, calls must be signed."""
        return auth(api_key)


class _Answer:
    """The events of one streamed answer, each wrapped in a `chunk`; the first shows their shape."""

    def __init__(self, messages: StreamDecoder, upstream: str) -> None:
        self._messages = messages
        self._upstream = upstream
        self._converse: Converse | None = None
        self._text: TextAnswer | None = None
        self._blocked = False
        """Whether a guardrail has replaced the answer."""

    def event(self, name: str, data: bytes) -> list[Delta]:
        if name != "chunk":
            return []
        try:
            inner = base64.b64decode(read(data, _Chunk).content, validate=True)
        except (binascii.Error, ValueError):
            raise Broken("a chunk of the stream is not in base64") from None
        fields = read(inner, dict[str, Raw])
        self._blocked = self._blocked or _is_blocked(fields)
        return self._checked(self._deltas(fields, inner))

    def _deltas(self, fields: Mapping[str, Raw], inner: bytes) -> list[Delta]:
        if fields.keys() & EVENTS.keys():
            self._converse = self._converse or Converse(self._upstream)
        elif self._converse is None and fields.keys() & completions.MARKER_FIELDS:
            self._text = self._text or TextAnswer()
        if self._converse is not None:
            shape = self._converse
            return [d for name, raw in fields.items() for d in shape.event(name, bytes(raw))]
        if self._text is not None:
            return self._text.event(read(inner, dict[str, Any]))
        # Line breaks between JSON tokens are white space; an SSE event needs one line.
        line = inner.replace(b"\r", b" ").replace(b"\n", b" ")
        return self._messages.feed(b"data: " + line + b"\n\n")

    def finish(self) -> list[Delta]:
        return self._checked(self._reader.finish())

    def _checked(self, deltas: list[Delta]) -> list[Delta]:
        return [_with_blocked_finish(delta) for delta in deltas] if self._blocked else deltas

    @property
    def done(self) -> bool:
        return self._reader.done

    @property
    def complete(self) -> bool:
        return self._reader.complete

    @property
    def _reader(self) -> Converse | TextAnswer | StreamDecoder:
        return self._converse or self._text or self._messages


def _is_blocked(fields: Mapping[str, Raw]) -> bool:
    return bytes(fields.get(completions.GUARDRAIL, b"")) == b'"INTERVENED"'


def _with_blocked_finish(delta: Delta) -> Delta:
    choices = tuple(
        structs.replace(choice, finish=_BLOCKED) if choice.finish else choice
        for choice in delta.choices
    )
    return structs.replace(delta, choices=choices)
