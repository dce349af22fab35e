"""Requests that came before but for their messages: all around those is not read again.

A client sends the same model, settings and tools with each request of a conversation, and with most
others: that is its requests' shape. A body is cut into what stands before the messages' JSON, the
messages, and what stands behind them. Who finds both ends here has only the messages to read: half
of the work, and less than that where there are tools.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, structs

from gateway.core.chat import NO_EXTRAS, ChatRequest
from gateway.core.shape import read_shape
from gateway.web.extras import read_extras

LONGEST: Final = 64 * 1024
"""Bytes of a shape that is kept."""
_MOST: Final = 2_048
_MOST_BYTES: Final = 4 * 1024 * 1024
"""Of all shapes; what is kept of them, and with them, is a few times as much."""
_MOST_ONCE: Final = 8_192
"""Shapes that were seen once, each a number."""
_MOST_NAMES: Final = 4
"""Names of a field behind the messages that are looked for, where beginning and end are alike."""

_MESSAGES: Final = b'"messages":'
_HERE: Final = b'"messages here":'
_PAST: Final = len(_MESSAGES)
_LAST: Final = 4
"""Bytes of a body by which those with another field behind their messages are told apart."""
_BLANK: Final = b" \t\r\n"
_NEXT: Final = re.compile(rb'\][ \t\r\n]*(?:,[ \t\r\n]*"[^"\\]*"[ \t\r\n]*:|\})')
"""The end of the messages, and the name of the field after them or the end of the body."""
_split: Final = msgspec.json.Decoder(dict[str, Raw])


class Known(Struct, frozen=True, weakref=True):
    """What is read of a shape: of any body that begins and ends with these bytes, and has valid
    messages `between` them.

    What surrounds those was valid JSON around another array. So it is around this one, and says
    the same.
    """

    begins: bytes
    """Up to the bracket that opens the messages,"""
    ends: bytes
    """and from behind the one that closes them."""
    between: slice
    """The messages with their brackets, of a body."""
    request: ChatRequest
    """But for its messages: `fields` has something else in their place."""
    gateway: Mapping[str, Any] | None
    """That field of it, which headers may add to."""


class _Begin(Struct):
    """What may stand behind the messages of bodies that begin, and end, with the same bytes."""

    names: list[bytes]
    tails: dict[bytes, Known]


class Shapes:
    """Of one configuration. Bounded: when it is full, it is emptied. A shape is kept when it comes
    for the second time: many have something in them that never comes again.
    """

    def __init__(self) -> None:
        self._begins: dict[bytes, _Begin] = {}
        self._count = self._bytes = 0
        self._once: set[int] = set()

    def find(self, body: bytes) -> Known | None:
        """What is known of a body's shape, if this is its shape: whoever reads it looks."""
        opened = body.find(b"[", body.find(_MESSAGES) + _PAST) + 1
        found = self._begins.get(body[:opened] + body[-_LAST:])
        if found is not None:
            for name in found.names:
                known = found.tails.get(body[body.rfind(name, opened) + 1 :])
                if known is not None:
                    return known
        return None

    def learn(self, body: bytes, request: ChatRequest, gateway: Mapping[str, Any] | None) -> None:
        """From a body that was read whole; `gateway` is that field of it."""
        messages = request.fields["messages"]
        named = body.find(_MESSAGES) + _PAST
        start = body.find(b"[", named)
        end = start + memoryview(messages).nbytes
        begins, ends = body[: start + 1], body[end:]
        if len(begins) + len(ends) > LONGEST:
            return
        once = hash((begins, ends))
        if once not in self._once:
            if len(self._once) >= _MOST_ONCE:
                self._once.clear()
            self._once.add(once)
            return
        name = _NEXT.match(body, end - 1)
        blank = not body[named:start].strip(_BLANK)
        if name and blank and body.startswith(bytes(messages), start):
            known = _known(body[:named], body[named : start + 1], ends, request, gateway)
            if known is not None:
                self._keep(begins + body[-_LAST:], name[0], ends, known)

    def _keep(self, begin: bytes, name: bytes, end: bytes, known: Known) -> None:
        size = len(begin) + len(end)  # the last bytes of short ones count twice
        if self._count == _MOST or self._bytes + size > _MOST_BYTES:
            self._begins.clear()
            self._count = self._bytes = 0
        found = self._begins.setdefault(begin, _Begin([], {}))
        if name not in found.names:
            if len(found.names) == _MOST_NAMES:
                return
            found.names.append(name)
        if end not in found.tails:
            self._count += 1
            self._bytes += size
        found.tails[end] = known


def _known(
    before: bytes,
    opens: bytes,
    behind: bytes,
    request: ChatRequest,
    gateway: Mapping[str, Any] | None,
) -> Known | None:
    """What is kept of what stands around an array in a valid body. None where that is not all of
    the messages, but a field within another, or one that is there twice; and where a field is in it
    that is never used: a key of the client's is not kept.
    """
    # Without a backslash before it a quote begins a string, or ends one; and after that end no JSON
    # goes on so. It is a name, then.
    if not before.endswith(_MESSAGES) or before[:-_PAST].endswith(b"\\"):
        return None
    found = _split.decode(b"%b%b0%b" % (before[:-_PAST], _HERE, behind))
    found.pop("gateway", None)
    fields = {name if name != "messages here" else "messages": raw for name, raw in found.items()}
    if "messages" in found or [*fields] != [*request.fields]:
        return None
    extras = read_extras(gateway, {}) if gateway else NO_EXTRAS
    shape = read_shape(fields)
    request = structs.replace(request, fields=fields, extras=extras, seen=None, shape=shape)
    begins = before + opens
    return Known(begins, behind, slice(len(begins) - 1, -len(behind)), request, gateway)
