"""Decodes a streamed answer, and knows when it is over; shared by both HTTP clients."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gateway.core.chat import ChoiceDelta, Delta, Usage
from gateway.core.errors import UpstreamError
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.http_coding import IDENTITY, IdentityDecoder
from gateway.drivers.upstream.provider_calls import ProviderCall
from gateway.wire.dialect import NO_TEMPLATE
from gateway.wire.silence import MAX_SILENT_EVENTS, silent_stream

AFTER_S: Final = 0.25
"""How long to wait for the end of the HTTP body after the stream's own end, so that the connection
can be reused. Mostly it is already there, or in the next packet.
"""
PIECE: Final = 32 * 1024
"""Bytes that are decoded at once: a piece may inflate to 64 MiB, and its deltas may wait for a slow
client.
"""


class ProviderFlow:
    """Feed it bytes of the body. It starts with the first delta that has content: role-only deltas,
    which many providers send at once, are withheld until then, so that a fallback stays possible.
    """

    __slots__ = (
        "_alike",
        "_body_decoder",
        "_bytes_left",
        "_call",
        "_decoder",
        "_started",
        "_withheld",
    )

    def __init__(self, call: ProviderCall, body_decoder: IdentityDecoder = IDENTITY) -> None:
        self._call = call
        self._body_decoder = None if body_decoder is IDENTITY else body_decoder
        self._decoder = call.setup.dialect.decoder(call.target)
        self._alike = NO_TEMPLATE
        self._bytes_left = failures.MAX_ANSWER
        self._started = False
        self._withheld: list[Delta] = []

    @property
    def done(self) -> bool:
        """Whether the stream's end has come: nothing is left to read."""
        return self._decoder.done

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, so that a later failure does not matter."""
        return self._decoder.done or self._decoder.complete

    def read(self, body: bytes) -> Iterable[Sequence[Delta]]:
        """The deltas that are complete now, mostly in one list; never an empty list.

        Raises UpstreamError; Broken beyond MAX_ANSWER bytes.
        """
        if len(body) <= PIECE and (delta := self._alike.read(body)) is not None:
            self._count_bytes(len(body))
            return ((delta,),)
        return self._decode(body)

    def _decode(self, body: bytes) -> Iterable[list[Delta]]:
        """The same for bytes that are not one event shaped like the previous."""
        if self._body_decoder is not None:
            body = self._body_decoder.feed(body)
        self._count_bytes(len(body))
        if len(body) > PIECE:
            return self._decode_pieces(body)
        deltas = self._emit(self._decoder.feed(body))
        return (deltas,) if deltas else ()

    def _count_bytes(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise failures.too_large()

    def _decode_pieces(self, body: bytes) -> Iterator[list[Delta]]:
        for at in range(0, len(body), PIECE):
            if deltas := self._emit(self._decoder.feed(body[at : at + PIECE])):
                yield deltas

    def body_ended(self) -> None:
        """Call at the end of the HTTP body. Raises Broken for an incomplete compressed one."""
        if self._body_decoder is not None:
            self._body_decoder.finish()

    def finish(self, auth_headers: Mapping[str, str]) -> list[Delta]:
        """The last deltas. Raises Broken when the answer is not complete."""
        try:
            last = self._decoder.finish()
        except UpstreamError as error:
            self.prepare_error(error, auth_headers)
            raise
        if self._started or not (self._withheld or last):
            return self._emit(last)
        return self._call.annotate([*self._withheld, *last], first=True)

    def prepare_error(self, error: BaseException, auth_headers: Mapping[str, str]) -> None:
        """Redact an error so that it can be shown, and add a usage that was withheld with the first
        deltas, so that it is charged.
        """
        if isinstance(error, UpstreamError) and not (self._started or error.usage):
            error.usage = self._withheld_usage()
        self._call.hide(error, auth_headers)

    def _withheld_usage(self) -> Usage | None:
        for delta in reversed(self._withheld):
            usage = delta.usage
            if usage is not None and (usage.prompt or usage.reported_cost):
                return usage
        try:
            self._decoder.finish()  # its error may have the usage so far
        except UpstreamError as error:
            return error.usage
        return None

    def _emit(self, deltas: list[Delta]) -> list[Delta]:
        if self._started:
            return self._call.annotate(deltas, first=False) if deltas else deltas
        return self._first_content(deltas)

    def _first_content(self, new: list[Delta]) -> list[Delta]:
        deltas = self._withheld
        deltas += new
        if not any(map(_has_content, new)):
            if len(deltas) > MAX_SILENT_EVENTS:
                raise silent_stream()
            self._decoder.feed(b"")  # raises an error that came after them
            return []
        self._started, self._withheld = True, []
        if self._body_decoder is None:
            self._alike = self._decoder.template
        return self._call.annotate(deltas, first=True)


def _has_content(delta: Delta) -> bool:
    return bool(delta.size) or any(
        choice != ChoiceDelta(choice.index, beside=choice.beside) for choice in delta.choices
    )
