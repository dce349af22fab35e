"""Bodies that differ from an earlier one in their messages only: the rest is not parsed again.

A client sends the same model, settings and tools with each request of a conversation, and with most
others: this is the shape of its requests. A body is cut into the JSON before the messages, the
messages, and the JSON behind them. If both ends are known, only the messages are parsed: half of
the work, and less if there are tools.
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
"""Bytes of a shape; longer ones are not kept."""
_MOST: Final = 2_048
_MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of all shapes together; what is kept takes a few times as much memory."""
_MOST_ONCE: Final = 8_192
"""Shapes that were seen once; only a hash of each is kept."""
_MOST_NAMES: Final = 4
"""Names of the field behind the messages that are tried, for bodies that begin and end alike."""

_MESSAGES: Final = b'"messages":'
_HERE: Final = b'"messages here":'
_PAST: Final = len(_MESSAGES)
_LAST: Final = 4
"""Last bytes of a body, by which those with other fields behind their messages are told apart."""
_BLANK: Final = b" \t\r\n"
_NEXT: Final = re.compile(rb'\][ \t\r\n]*(?:,[ \t\r\n]*"[^"\\]*"[ \t\r\n]*:|\})')
"""The end of the messages, and the name of the field after them or the end of the body."""
_split: Final = msgspec.json.Decoder(dict[str, Raw])


class Known(Struct, frozen=True, weakref=True):
    """What was read of a shape. It holds for any body that begins and ends with these bytes, and
    has valid messages `between` them: what is valid JSON around one array is so around another,
    and says the same.
    """

    begins: bytes
    """Up to the bracket that opens the messages,"""
    ends: bytes
    """and from behind the one that closes them."""
    between: slice
    """Where the messages, with their brackets, are in a body."""
    request: ChatRequest
    """Without the messages: `fields` has something else in their place."""
    gateway: Mapping[str, Any] | None
    """Its field of this name, which headers may add to."""


class _Begin(Struct):
    """The known ends of bodies with the same beginning and the same last bytes."""

    names: list[bytes]
    tails: dict[bytes, Known]


class Shapes:
    """The shapes of one configuration. Bounded: it is emptied when full. A shape is kept when it is
    seen for the second time: many contain something that never comes again.
    """

    def __init__(self) -> None:
        self._begins: dict[bytes, _Begin] = {}
        self._count = self._bytes = 0
        self._once: set[int] = set()

    def find(self, body: bytes) -> Known | None:
        """The shape that a body may have: the caller checks that it begins and ends so."""
        opened = body.find(b"[", body.find(_MESSAGES) + _PAST) + 1
        found = self._begins.get(body[:opened] + body[-_LAST:])
        if found is not None:
            for name in found.names:
                known = found.tails.get(body[body.rfind(name, opened) + 1 :])
                if known is not None:
                    return known
        return None

    def learn(self, body: bytes, request: ChatRequest, gateway: Mapping[str, Any] | None) -> None:
        """Note the shape of a body that was parsed; `gateway` is its field of this name."""
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
    """The shape around an array in a valid body. None if the array is not the one field `messages`
    (nested, or there twice), and if the body has fields that are never used: a client's own API key
    is not kept.
    """
    # A quote without a backslash before it begins or ends a string, and no JSON goes on so after an
    # end: so `"messages":` is a name.
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
