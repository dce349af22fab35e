"""A streamed answer as it comes: what both clients make of its pieces, and when it is over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gateway.core.chat import ChoiceDelta, Delta, Usage
from gateway.core.errors import UpstreamError
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.http_coding import PLAIN, Plain
from gateway.drivers.upstream.provider_calls import ProviderCall
from gateway.wire.dialect import NO_TEMPLATE
from gateway.wire.silence import MAX_SILENT_EVENTS, silent_stream

AFTER_S: Final = 0.25
"""How long the end of the HTTP answer is waited for after the answer's own, so that the connection
can be used again. It mostly is there, or in the next packet.
"""
PIECE: Final = 32 * 1024
"""What is read at once: unpacked bytes may come by the 64 MiB, and what is read of them waits for a
client that is slow.
"""


class ProviderFlow:
    """Give it bytes of the body. It begins with the first delta that says something: what merely
    tells a role, as many a provider does at once, waits for that, so that another can still be
    asked.
    """

    __slots__ = ("_alike", "_begun", "_call", "_coding", "_decoder", "_left", "_unsaid")

    def __init__(self, call: ProviderCall, coding: Plain = PLAIN) -> None:
        self._call = call
        self._coding = None if coding is PLAIN else coding
        self._decoder = call.way.dialect.decoder(call.target)
        self._alike = NO_TEMPLATE
        self._left = failures.MAX_ANSWER
        self._begun = False
        self._unsaid: list[Delta] = []

    @property
    def done(self) -> bool:
        """Whether its end has come: nothing is to be read any more."""
        return self._decoder.done

    @property
    def complete(self) -> bool:
        """Whether what fails now fails after the answer."""
        return self._decoder.done or self._decoder.complete

    def read(self, body: bytes) -> Iterable[Sequence[Delta]]:
        """The deltas that are whole now, mostly all at once; never an empty list.

        Raises UpstreamError; Broken when it goes on beyond what is ever an answer.
        """
        if len(body) <= PIECE and (delta := self._alike.read(body)) is not None:
            self._count(len(body))
            return ((delta,),)
        return self._fed(body)

    def _fed(self, body: bytes) -> Iterable[list[Delta]]:
        """The same of what is not one event like the one before."""
        if self._coding is not None:
            body = self._coding.feed(body)
        self._count(len(body))
        if len(body) > PIECE:
            return self._pieces(body)
        told = self._emit(self._decoder.feed(body))
        return (told,) if told else ()

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise failures.too_large()

    def _pieces(self, body: bytes) -> Iterator[list[Delta]]:
        for at in range(0, len(body), PIECE):
            if told := self._emit(self._decoder.feed(body[at : at + PIECE])):
                yield told

    def body_ended(self) -> None:
        """The HTTP answer has. Raises Broken when it was compressed, and is not whole."""
        if self._coding is not None:
            self._coding.finish()

    def finish(self, proof: Mapping[str, str]) -> list[Delta]:
        """The last ones. Raises Broken when the answer is not whole."""
        try:
            last = self._decoder.finish()
        except UpstreamError as error:
            self.failed(error, proof)
            raise
        if self._begun or not (self._unsaid or last):
            return self._emit(last)
        return self._call.annotate([*self._unsaid, *last], first=True)

    def failed(self, error: BaseException, proof: Mapping[str, str]) -> None:
        """What this says is fit to be shown, and charged: also by a usage that nobody was given,
        since it came before anything was said.
        """
        if isinstance(error, UpstreamError) and not (self._begun or error.usage):
            error.usage = self._kept_back()
        self._call.hide(error, proof)

    def _kept_back(self) -> Usage | None:
        for delta in reversed(self._unsaid):
            if delta.usage is not None and delta.usage.prompt:
                return delta.usage
        try:
            self._decoder.finish()  # which says why it is not whole, and what was counted
        except UpstreamError as error:
            return error.usage
        return None

    def _emit(self, deltas: list[Delta]) -> list[Delta]:
        if self._begun:
            return self._call.annotate(deltas, first=False) if deltas else deltas
        return self._first_content(deltas)

    def _first_content(self, new: list[Delta]) -> list[Delta]:
        deltas = self._unsaid
        deltas += new
        if not any(map(_has_content, new)):
            if len(deltas) > MAX_SILENT_EVENTS:
                raise silent_stream()
            self._decoder.feed(b"")  # an error that came behind them is told now
            return []
        self._begun, self._unsaid = True, []
        if self._coding is None:
            self._alike = self._decoder.template
        return self._call.annotate(deltas, first=True)


def _has_content(delta: Delta) -> bool:
    return bool(delta.size) or any(choice != ChoiceDelta(choice.index) for choice in delta.choices)
