"""One line a life, as an observer of events; see core/life_line.py for what is in it.

Where words are kept, too, a tap on the calls to providers hears every answer.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any, Final

from gateway.core import events
from gateway.core.chat import Completion
from gateway.core.life_line import Writer
from gateway.core.life_words import Content
from gateway.core.ports import Upstream
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Log
from gateway.core.usage_record import BEHIND
from gateway.drivers.heard_answers import HOLD, HeardUpstream
from gateway.drivers.line_writer import LineWriter

_BEGIN, _AMID, _OVER, _HELD, _CACHE = range(5)
_KINDS: Final[Mapping[type, int]] = {
    **dict.fromkeys((events.Began, events.AuditBegan), _BEGIN),
    **dict.fromkeys(
        (
            events.Planned, events.Refused, events.Judged, events.Escalated,
            events.FellBack, events.Settled,
        ),
        _AMID,
    ),
    **dict.fromkeys(
        (events.Replied, events.Denied, events.Dropped, events.AuditEnded), _OVER
    ),
    events.Reserved: _HELD,
    events.CacheAsked: _CACHE,
}  # fmt: skip
_SIZE: Final = 16
"""Bytes of a hash."""


class LifeLog:
    """`write` gets each line, `wall` gives Unix seconds. Hashes are keyed with `pepper`, if any."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        wall: Callable[[], float],
        redactor: Redactor,
        log: Log,
        pepper: str | None = None,
    ) -> None:
        self._write = write
        self._wall = wall
        key = (pepper or "").encode()[:64]
        self._hash = lambda data: blake2b(data, key=key, digest_size=_SIZE).hexdigest()
        self._writer = Writer(redactor.names, self._hash)
        self._log = log
        self._heard: dict[str, dict[str, Completion]] | None = None
        """By life and hold; None where no words are kept."""
        if log.content != "off":
            self._heard = {}
        self._lives: dict[str, list[events.Event]] = {}
        self._early: dict[str, list[events.Event]] = {}

    def observe(self, event: Any) -> None:
        kind = _KINDS.get(type(event))
        if kind is None:
            return
        if kind == _AMID:
            self._lives[event.about.request_id].append(event)
        elif kind == _OVER:
            life = self._lives.pop(event.about.request_id)
            life.append(event)
            self._over(life)
        elif kind == _BEGIN:
            self._lives[event.about.request_id] = [event]
            if self._early:
                self._lives[event.about.request_id] += self._early.pop(event.about.request_id, ())
            if self._heard is not None and self._chosen(event.about.request_id):
                self._heard[event.about.request_id] = {}
        elif kind == _CACHE:
            self._early_of(event).append(event)
        elif self._heard is not None:
            HOLD.set((event.about.request_id, event.hold))

    def _early_of(self, event: events.CacheAsked) -> list[events.Event]:
        """What is told of a life before it begins: that its answer was not kept."""
        life = self._lives.get(event.about.request_id)
        return self._early.setdefault(event.about.request_id, []) if life is None else life

    def tap(self, upstream: Upstream) -> Upstream:
        """The same, and what it answers is heard, where words are kept."""
        return upstream if self._heard is None else HeardUpstream(upstream, self._hears)

    def _over(self, life: list[events.Event]) -> None:
        content = None
        if self._heard is not None:
            first: Any = life[0]
            heard = self._heard.pop(first.about.request_id, None)
            if heard is not None:
                hashed = self._hash if self._log.content == "hash" else None
                content = Content(getattr(first, "request", None), heard, hashed)
        self._write(self._writer.line(life, self._wall(), content))

    def _chosen(self, request_id: str) -> bool:
        """What goes on behind an answer is kept where the answer is."""
        if self._log.content != "sample":
            return True
        seen = request_id.partition(BEHIND)[0].encode()
        return int.from_bytes(blake2b(seen, digest_size=4).digest()) < self._log.sample * 2**32

    def _hears(self, request_id: str, hold: str, answer: Completion) -> None:
        heard = self._heard.get(request_id) if self._heard is not None else None
        if heard is not None:
            heard[hold] = answer


@asynccontextmanager
async def open_life_log(
    log: Log, wall: Callable[[], float], redactor: Redactor, pepper: str | None
) -> AsyncIterator[LifeLog]:
    """All that was told is written at the end. Raises OSError for a file that cannot be opened."""
    # Without words a line has nothing that the names were not redacted for one by one.
    writer = LineWriter(log.to, None if log.content == "off" else redactor.bytes)
    try:
        yield LifeLog(writer.write, wall, redactor, log, pepper)
    finally:
        await writer.aclose()
