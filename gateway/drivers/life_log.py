"""Logs one line per life, as an observer of events; see core/life_log/line.py for the fields.

Where content is logged, a tap on the calls to providers collects every answer.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any, Final

from gateway.core import events
from gateway.core.chat import Completion
from gateway.core.life_log.line import Writer
from gateway.core.life_log.words import Content
from gateway.core.observers import Handlers, observer
from gateway.core.ports import Observer, Upstream
from gateway.core.records.record import BEHIND
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Log
from gateway.drivers.line_writer import LineWriter
from gateway.drivers.tapped_upstream import HOLD, TappedUpstream

_HASH_BYTES: Final = 16
"""Bytes of a content hash."""
_MIDWAY_EVENTS: Final = (
    events.Planned, events.HoldRefused, events.Judged, events.Escalated, events.FellBack,
    events.Settled,
)  # fmt: skip
_END_EVENTS: Final = (events.Replied, events.Denied, events.Dropped, events.AuditEnded)


class LifeLog:
    """`handlers` take events by type, `observe` is an observer of all events. `write` gets
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
        self._hash = lambda data: blake2b(data, key=key, digest_size=_HASH_BYTES).hexdigest()
        self._writer = Writer(redactor.names, self._hash)
        self._log = log
        self._answers: dict[str, dict[str, Completion]] | None = None
        """By life and hold; None where no content is logged."""
        self._lives: dict[str, list[events.Event]] = {}
        self._early: dict[str, list[events.Event]] = {}
        handlers: dict[type, Callable[[Any], None]] = {
            events.Began: self._on_begin,
            events.AuditBegan: self._on_begin,
            **dict.fromkeys(_MIDWAY_EVENTS, self._on_event),
            **dict.fromkeys(_END_EVENTS, self._on_end),
            events.CacheLookup: self._on_cache_lookup,
        }
        if log.content != "off":
            self._answers = {}
            handlers[events.Reserved] = self._on_reserve
        self.handlers: Handlers = handlers
        self.observe: Observer = observer(handlers)

    def _on_begin(self, event: events.Began | events.AuditBegan) -> None:
        life = event.about.request_id
        self._lives[life] = [event]
        if self._early:
            self._lives[life] += self._early.pop(life, ())
        if self._answers is not None and self._is_sampled(life):
            self._answers[life] = {}

    def _on_event(self, event: events.LifeEvent) -> None:
        self._lives[event.about.request_id].append(event)

    def _on_end(self, event: events.LifeEvent) -> None:
        life = self._lives.pop(event.about.request_id)
        life.append(event)
        content = None
        if self._answers is not None:
            content = self._content(life[0], event.about.request_id)
        self._write(self._writer.line(life, self._wall(), content))

    def _on_cache_lookup(self, event: events.CacheLookup) -> None:
        """A cache miss is observed before the life begins."""
        request_id = event.about.request_id
        (self._lives.get(request_id) or self._early.setdefault(request_id, [])).append(event)

    def _on_reserve(self, event: events.Reserved) -> None:
        HOLD.set((event.about.request_id, event.hold))

    def tap(self, upstream: Upstream) -> Upstream:
        """Wraps the upstream where content is logged, to collect its answers."""
        return upstream if self._answers is None else TappedUpstream(upstream, self._on_answer)

    def _content(self, first: Any, request_id: str) -> Content | None:
        answers = self._answers.pop(request_id, None) if self._answers is not None else None
        if answers is None:
            return None
        hasher = self._hash if self._log.content == "hash" else None
        return Content(getattr(first, "request", None), answers, hasher)

    def _is_sampled(self, request_id: str) -> bool:
        """Whether this life's content is logged; background calls follow their request."""
        if self._log.content != "sample":
            return True
        root_id = request_id.partition(BEHIND)[0].encode()
        return int.from_bytes(blake2b(root_id, digest_size=4).digest()) < self._log.sample * 2**32

    def _on_answer(self, request_id: str, hold: str, answer: Completion) -> None:
        answers = self._answers.get(request_id) if self._answers is not None else None
        if answers is not None:
            answers[hold] = answer


@asynccontextmanager
async def open_life_log(
    log: Log, wall: Callable[[], float], redactor: Redactor, pepper: str | None
) -> AsyncIterator[LifeLog]:
    """All lines are written at the end. Raises OSError, whose text names the configuration's key,
    for a file that cannot be opened.
    """
    # Without content, the names in a line were already redacted one by one.
    try:
        writer = LineWriter(log.to, None if log.content == "off" else redactor.bytes)
    except OSError as error:
        raise OSError(f"log.to: cannot write to {log.to}: {error.strerror or error}") from None
    try:
        yield LifeLog(writer.write, wall, redactor, log, pepper)
    finally:
        await writer.aclose()
