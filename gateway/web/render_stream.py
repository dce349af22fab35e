"""A streamed answer as the client gets it: OpenAI's chunks, as server-sent events."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.core.beside import with_beside
from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, ToolDelta, Usage
from gateway.core.errors import GatewayError
from gateway.web.render import OURS, error_body, usage_json

DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE: Final = b": waiting\n\n"
"""A comment: clients drop it, and proxies see that the stream lives."""
PIECE: Final = 400
"""Characters of text in one chunk of a recut answer."""

_HEAD: Final = re.compile(
    rb'(\{(?:\s*"\w+"\s*:\s*(?:"[^"\\]*"|\d+|null)\s*,)*?\s*"model"\s*:\s*)"[^"\\]*"'
)
"""The beginning of a chunk up to its model, with nothing but plain fields before it."""
_encode: Final = msgspec.json.Encoder().encode
_split: Final = msgspec.json.Decoder(dict[str, Raw]).decode


class ChunkWriter:
    """Writes one stream. All its chunks have one id, one time and one model.

    These are the provider's own, as far as they are known with the first delta; `request_id` and
    `created` (Unix seconds) stand in for what is not.
    """

    def __init__(self, model: str, *, request_id: str, created: int) -> None:
        self._model = _encode(model)
        self._theirs = self._ours = b"\0"
        """How the provider's chunks begin, and ours instead: that is found once. Chunks that come
        undecoded have one id and one time.
        """
        self._begins = self._rest = slice(0)
        """As much of a chunk as theirs is, and what follows: to cut and compare takes two thirds of
        what `startswith` does, 0.05 us of an event.
        """
        self._request_id = request_id
        self._id = ""
        self._created = created
        self._head = b""
        self._begun: set[int] = set()
        self._beside: dict[str, Raw] = {}
        """What was said beside no choices: it is told with the usage."""

    def delta(self, delta: Delta) -> bytes:
        """The event of a delta; b"" for one without choices, but for what moderation found."""
        raw = delta.raw
        if raw is not None and delta.size is not None and raw[self._begins] == self._theirs:
            return self._ours + raw[self._rest] + b"\n\n"
        if not self._head:
            self._begin(delta.id, delta.created)
        if raw is not None and delta.id == self._id and delta.created == self._created:
            for choice in delta.choices:
                self._begun.add(choice.index)
            return self._renamed(raw)
        if not delta.choices:
            return self._alone(delta.extra) if delta.extra else b""
        rest = b"," + _encode(delta.extra)[1:-1] if delta.extra else b""
        return self._event(_encode([self._choice(choice) for choice in delta.choices]), rest)

    def usage(self, usage: Usage, extension: bytes = b"") -> bytes:
        """The last chunk, for a client that asked for usage: no choices, only that, and what the
        provider said where it had no choices.
        """
        if not self._head:
            self._begin("", 0)
        beside = b"," + _encode(self._beside)[1:-1] if self._beside else b""
        return self._event(b"[]", b'%b,"usage":%b' % (beside, usage_json(usage, extension)))

    def recut(self, completion: Completion) -> Iterator[bytes]:
        """The events of an answer that was held until whole."""
        name, created = completion.id, completion.created
        pieces = [piece for choice in with_beside(completion) for piece in _pieces(choice)]
        for piece in pieces[:-1]:
            yield self.delta(Delta((piece,), id=name, created=created))
        yield self.delta(Delta((*pieces[-1:],), id=name, created=created, extra=completion.beside))

    def _alone(self, extra: Mapping[str, Raw]) -> bytes:
        """OpenAI has a chunk without choices for what moderation found, and for usage."""
        self._beside |= extra
        found = self._beside.pop("moderation", None)
        return b"" if found is None else self._event(b"[]", b',"moderation":%b' % bytes(found))

    def _begin(self, name: str, created: int) -> None:
        self._id = name or f"chatcmpl-{self._request_id}"
        self._created = created or self._created
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b' % (
            _encode(self._id),
            self._created,
            self._model,
        )

    def _event(self, choices: bytes, rest: bytes = b"") -> bytes:
        return b'%b,"choices":%b%b}\n\n' % (self._head, _one_line(choices), _one_line(rest))

    def _renamed(self, raw: bytes) -> bytes:
        """The event of a provider's chunk, with the model at its top level replaced."""
        if raw[self._begins] == self._theirs:
            return self._ours + raw[self._rest] + b"\n\n"
        head = _HEAD.match(raw)
        if head is None:
            return b"data: %b\n\n" % _encode({**_split(raw), "model": Raw(self._model)})
        self._theirs = head.group()
        self._begins, self._rest = slice(head.end()), slice(head.end(), None)
        self._ours = b"data: %b%b" % (head.group(1), self._model)
        return self._ours + raw[self._rest] + b"\n\n"

    def _choice(self, choice: ChoiceDelta) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        if choice.index not in self._begun:
            self._begun.add(choice.index)
            delta = {"role": "assistant", "content": choice.text}
        elif choice.text:
            delta["content"] = choice.text
        if choice.reasoning:
            delta["reasoning_content"] = choice.reasoning
        if choice.refusal:
            delta["refusal"] = choice.refusal
        if choice.tool_calls:
            delta["tool_calls"] = [_call(call) for call in choice.tool_calls]
        if choice.extra:
            delta |= {name: raw for name, raw in choice.extra.items() if name not in OURS}
        return {
            **choice.beside,
            "index": choice.index,
            "delta": delta,
            "logprobs": choice.logprobs,
            "finish_reason": choice.finish,
        }


def error_event(error: GatewayError) -> bytes:
    """What breaks a stream. Never followed by DONE."""
    return b"data: %b\n\n" % error_body(error)


def _one_line(value: bytes) -> bytes:
    """JSON whose white space is no line break, as fields that came undecoded may have."""
    if b"\n" in value or b"\r" in value:
        return value.replace(b"\n", b" ").replace(b"\r", b" ")
    return value


def _call(call: ToolDelta) -> dict[str, Any]:
    """A piece of a call. OpenAI's description knows chunks of functions alone, so that a call of a
    custom tool is told as one whose arguments are its input; see openai/openai-openapi#576.
    """
    function: dict[str, Any] = {"arguments": call.arguments}
    if call.name is not None:
        function["name"] = call.name
    if call.id is None:
        return {**call.extra, "index": call.index, "function": function}
    named = {"index": call.index, "id": call.id, "type": "function", "function": function}
    return {**call.extra, **named}


def _pieces(choice: Choice) -> Iterator[ChoiceDelta]:
    """A whole choice as the deltas of a stream: its role first, its finish last."""
    index = choice.index
    yield ChoiceDelta(index)
    for text in _cut(choice.reasoning):
        yield ChoiceDelta(index, reasoning=text)
    logprobs = choice.logprobs or None
    for text in _cut(choice.text):
        yield ChoiceDelta(index, text, logprobs=logprobs)
        logprobs = None  # clients join them; they need not be beside their own tokens
    for text in _cut(choice.refusal):
        yield ChoiceDelta(index, refusal=text)
    for number, call in enumerate(choice.tool_calls):
        yield ChoiceDelta(
            index, tool_calls=(ToolDelta(number, call.id, call.name, call.arguments, call.extra),)
        )
    if choice.extra:
        yield ChoiceDelta(index, extra=choice.extra)
    yield ChoiceDelta(index, finish=choice.finish, logprobs=logprobs, beside=choice.beside)


def _cut(text: str | None) -> Iterator[str]:
    for start in range(0, len(text or ""), PIECE):
        yield (text or "")[start : start + PIECE]
