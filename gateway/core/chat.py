"""The values a chat is made of: what was asked, and what was answered.

The client's JSON is kept as it came: its top level is split once and a field is decoded only
when somebody reads it, so that what we do not understand reaches the provider untouched.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, structs

from gateway.core.errors import InvalidRequest
from gateway.core.shape import NULL, Shape
from gateway.core.usage import Usage

__all__ = ["Usage"]

_NOTHING: Final[Mapping[str, Any]] = {}
_WRITTEN: Final = frozenset(
    {"choices", "created", "error", "id", "metadata", "model", "object", "usage"}
)
"""Fields of a whole answer that are said in another way where it is written anew, or not at all."""
_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_items: Final = msgspec.json.Decoder(list[Raw]).decode


class _Role(Struct):
    role: str = ""


_role: Final = msgspec.json.Decoder(_Role).decode


class Extras(Struct, frozen=True):
    """What the client asked of the gateway itself; removed before anything goes upstream."""

    region: str | None = None
    max_cost_usd: str | None = None
    max_latency_ms: int | None = None
    checks: tuple[str, ...] | None = None
    strategy: str | None = None
    tags: Mapping[str, str] = _NOTHING


NO_EXTRAS: Final = Extras()


Message = Mapping[str, Any]
"""One message of a chat, as JSON."""

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
ROLES: Final[tuple[str, ...]] = get_args(Role)


SAID: Final = 4_000


class Look(Struct, frozen=True):
    """What was seen of the messages while they were decoded, so that nobody decodes them again."""

    plain: bool
    """There are texts, and calls of tools, and nothing else that anybody would look for: no media,
    no thoughts, no mark for a cache. False where nobody made sure."""
    said: str
    """The first SAID characters of the user's last text: enough to tell what it is about."""
    sound: bool = True
    """Each has a role that there is, and content of a kind that there is."""
    calls: bool = False
    """Whether plain ones may have calls of tools."""
    size: int = 0
    """Bytes of their JSON, see `unescaped_size`; 0 where nobody has counted."""


def look(messages: Sequence[Message]) -> Look:
    """What is seen in decoded messages."""
    plain = sound = True
    said: Any = None
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if type(content) is not str:
            plain = False
            if content is not None and type(content) is not list:
                sound = False
        elif len(message) != 2:
            plain = False
        if role == "user":
            said = content
        elif role not in ROLES:
            sound = False
    return Look(plain, _text(said)[:SAID], sound)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


class ChatRequest(Struct, frozen=True):
    """One client's request.

    `fields` is the top level of its JSON, undecoded, without the gateway's own extras.
    `max_tokens` is the output limit it asked for, by whichever name. `seen` is None where nobody
    has looked. `shape` is of `fields` beside the messages, whatever these are: who sends others
    leaves it out.
    """

    fields: Mapping[str, Raw]
    model: str
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    n: int = 1
    user: str | None = None
    extras: Extras = NO_EXTRAS
    seen: Look | None = None
    shape: Shape | None = None

    def sets(self, name: str) -> bool:
        """Whether it has this field, with more than null in it."""
        return self.fields.get(name, NULL) != NULL

    def json(self, name: str) -> Any:
        """One top-level field, decoded; None when it is absent. Decodes anew at each call.

        Raises InvalidRequest for a number beyond all bounds, in a field that nobody has read yet.
        """
        raw = self.fields.get(name)
        try:
            return None if raw is None else msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"'{name}' cannot be read: {error}.", param=name) from None


def add_messages(request: ChatRequest, added: Sequence[Message]) -> ChatRequest:
    """The request with messages after the client's own. What the user says after a user's message
    goes on in that: some chat templates refuse two in a row (Mistral's and Gemma's in vLLM).
    """
    messages = [bytes(raw) for raw in _items(request.fields["messages"])]
    for message in added:
        text = message["content"] if message["role"] == "user" else None
        if messages and type(text) is str and _role(messages[-1]).role == "user":
            messages[-1] = add_text(messages[-1], text)
        else:
            messages.append(msgspec.json.encode(message))
    return with_messages(request, b"[" + b",".join(messages) + b"]")


def add_text(message: bytes, text: str) -> bytes:
    """A message, as JSON, with more text at its end. Raises DecodeError where it is no object."""
    fields = _fields(message)
    content = msgspec.json.decode(fields.get("content", b"null"))
    if isinstance(content, str):
        fields["content"] = Raw(msgspec.json.encode(f"{content}\n\n{text}"))
    else:
        parts = content if isinstance(content, list) else []
        fields["content"] = Raw(msgspec.json.encode([*parts, {"type": "text", "text": text}]))
    return msgspec.json.encode(fields)


def with_messages(request: ChatRequest, messages: bytes) -> ChatRequest:
    """The request with these, as JSON, instead of the client's own."""
    fields = {**request.fields, "messages": Raw(messages)}
    return structs.replace(request, fields=fields, seen=None)


# What answers are made of is frozen, and in no circle: that the garbage collector does not watch it
# saves 0.07 us for each.


class ToolCall(Struct, frozen=True, gc=False):
    """A tool the model asks for. `arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Raw] = _NOTHING
    """Other fields of the call, undecoded, to be sent back with it: extra_content."""


class Choice(Struct, frozen=True, gc=False):
    """One answer of a completion. `finish` is one of OpenAI's five reasons."""

    index: int = 0
    text: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    refusal: str | None = None
    reasoning: str | None = None
    logprobs: Raw | UnsetType = UNSET
    """UNSET where there are none, as Completion's `raw`."""
    extra: Mapping[str, Raw] = _NOTHING
    """Other fields of the message, undecoded: annotations, audio, function_call, ..."""
    beside: Mapping[str, Raw] = _NOTHING
    """Other fields beside the message, where the completion has no `raw`: content_filter_results of
    Azure, stop_reason of vLLM, ...
    """


class Completion(Struct, frozen=True, gc=False):
    """One whole answer. `usage` is None when the provider did not say.

    `raw` is the provider's own JSON, an object, when it is a strictly valid OpenAI answer that can
    be given to the client with only model and usage replaced. Who gives it splits it, for a name
    may stand in it twice; most that are not good enough never are. UNSET, not None, where there is
    none: a Raw that may be None is not read back.
    """

    choices: tuple[Choice, ...]
    id: str = ""
    created: int = 0
    usage: Usage | None = None
    raw: Raw | UnsetType = UNSET
    dropped: tuple[str, ...] = ()
    """Fields of the request that this provider was not asked for: it cannot honour them."""
    extra: Mapping[str, Raw] = _NOTHING
    """Where there is no `raw`: the answer's own other fields, undecoded: search_results, ..."""
    mends: tuple[str, ...] = ()
    """What of `raw` cannot be given as it is: `usage`, which does not count as we do, or `choices`,
    which omit nullable fields that OpenAI's description requires.
    """

    @property
    def first(self) -> Choice:
        return self.choices[0]

    @property
    def beside(self) -> Mapping[str, Raw]:
        """Its own other fields, wherever they are kept."""
        if self.raw is UNSET:
            return self.extra
        return {name: raw for name, raw in _fields(self.raw).items() if name not in _WRITTEN}


class ToolDelta(Struct, frozen=True, gc=False):
    """A piece of a tool call. `index` counts the calls of one choice from 0."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    extra: Mapping[str, Raw] = _NOTHING


class ChoiceDelta(Struct, frozen=True, gc=False):
    """A piece of one choice."""

    index: int = 0
    text: str = ""
    tool_calls: tuple[ToolDelta, ...] = ()
    finish: str | None = None
    refusal: str = ""
    reasoning: str = ""
    logprobs: Raw | None = None
    extra: Mapping[str, Raw] = _NOTHING
    beside: Mapping[str, Raw] = _NOTHING
    """As Choice's, where the delta has no `raw`."""


class Delta(Struct, frozen=True, gc=False):
    """One event of a streamed answer.

    `usage` is cumulative: the last one seen counts. `raw` is the provider's own JSON when it
    already is a strictly valid OpenAI chunk without usage that can be relayed with only the
    model's name replaced.
    """

    choices: tuple[ChoiceDelta, ...] = ()
    usage: Usage | None = None
    id: str = ""
    created: int = 0
    raw: bytes | None = None
    dropped: tuple[str, ...] = ()
    """Of the first delta of a stream: as Completion's."""
    extra: Mapping[str, Raw] = _NOTHING
    """Where there is no `raw`: as Completion's."""
    size: int | None = None
    """Bytes of text, where it is known that it says nothing but more text, or thoughts, of one
    choice that has begun: most are so, and need no closer look.
    """
