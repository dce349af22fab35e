"""One line a life, as an observer of events; see core/life_line.py for what is in it.

Where words are kept, too, a tap on the calls to providers hears every answer.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any, Final

from gateway.core import events
from gateway.core.chat import Completion
from gateway.core.life_line import Writer
from gateway.core.life_words import Content
from gateway.core.observers import Hears, observer
from gateway.core.ports import Observer, Upstream
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Log
from gateway.core.usage_record import BEHIND
from gateway.drivers.heard_answers import HOLD, HeardUpstream
from gateway.drivers.line_writer import LineWriter

_SIZE: Final = 16
"""Bytes of a hash."""
_AMID: Final = (
    events.Planned, events.HoldRefused, events.Judged, events.Escalated, events.FellBack,
    events.Settled,
)  # fmt: skip
_ENDS: Final = (events.Replied, events.Denied, events.Dropped, events.AuditEnded)


class LifeLog:
    """`hears` takes in what it names, `observe` is the same as an observer of all. `write` gets
    each line, `wall` gives Unix seconds. Hashes are keyed with `pepper`, if any.
    """

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
        self._lives: dict[str, list[events.Event]] = {}
        self._early: dict[str, list[events.Event]] = {}
        hears: dict[type, Callable[[Any], None]] = {
            events.Began: self._on_begin,
            events.AuditBegan: self._on_begin,
            **dict.fromkeys(_AMID, self._on_event),
            **dict.fromkeys(_ENDS, self._on_end),
            events.CacheAsked: self._cache_asked,
        }
        if log.content != "off":
            self._heard = {}
            hears[events.Reserved] = self._held
        self.hears: Hears = hears
        self.observe: Observer = observer(hears)

    def _on_begin(self, event: events.Began | events.AuditBegan) -> None:
        life = event.about.request_id
        self._lives[life] = [event]
        if self._early:
            self._lives[life] += self._early.pop(life, ())
        if self._heard is not None and self._chosen(life):
            self._heard[life] = {}

    def _on_event(self, event: events.LifeEvent) -> None:
        self._lives[event.about.request_id].append(event)

    def _on_end(self, event: events.LifeEvent) -> None:
        life = self._lives.pop(event.about.request_id)
        life.append(event)
        content = None
        if self._heard is not None:
            content = self._content(life[0], event.about.request_id)
        self._write(self._writer.line(life, self._wall(), content))

    def _cache_asked(self, event: events.CacheAsked) -> None:
        """That an answer was not kept is told before the life begins that makes one."""
        of = event.about.request_id
        (self._lives.get(of) or self._early.setdefault(of, [])).append(event)

    def _held(self, event: events.Reserved) -> None:
        HOLD.set((event.about.request_id, event.hold))

    def tap(self, upstream: Upstream) -> Upstream:
        """The same, and what it answers is heard, where words are kept."""
        return upstream if self._heard is None else HeardUpstream(upstream, self._on_answer)

    def _content(self, first: Any, request_id: str) -> Content | None:
        heard = self._heard.pop(request_id, None) if self._heard is not None else None
        if heard is None:
            return None
        hashed = self._hash if self._log.content == "hash" else None
        return Content(getattr(first, "request", None), heard, hashed)

    def _chosen(self, request_id: str) -> bool:
        """What goes on behind an answer is kept where the answer is."""
        if self._log.content != "sample":
            return True
        seen = request_id.partition(BEHIND)[0].encode()
        return int.from_bytes(blake2b(seen, digest_size=4).digest()) < self._log.sample * 2**32

    def _on_answer(self, request_id: str, hold: str, answer: Completion) -> None:
        heard = self._heard.get(request_id) if self._heard is not None else None
        if heard is not None:
            heard[hold] = answer


@asynccontextmanager
async def open_life_log(
    log: Log, wall: Callable[[], float], redactor: Redactor, pepper: str | None
) -> AsyncIterator[LifeLog]:
    """All that was told is written at the end. Raises OSError, whose text says of which key, for a
    file that cannot be opened.
    """
    # Without words a line has nothing that the names were not redacted for one by one.
    try:
        writer = LineWriter(log.to, None if log.content == "off" else redactor.bytes)
    except OSError as error:
        raise OSError(f"log.to: cannot write to {log.to}: {error.strerror or error}") from None
    try:
        yield LifeLog(writer.write, wall, redactor, log, pepper)
    finally:
        await writer.aclose()
