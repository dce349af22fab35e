"""Traces, as an observer of events: a SERVER span for each request, in it a CLIENT span for each
call to a provider. Imported only where traces are configured.

A thread of OpenTelemetry's sends them, by OTLP over HTTP. No word of a request or an answer is in
them unless that is configured, and no key in any case.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final

import msgspec
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from gateway import __version__
from gateway.core import events
from gateway.core.chat import ChatRequest, Completion
from gateway.core.money import PER_USD
from gateway.core.observers import Hears
from gateway.core.ports import Upstream
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Otel, Snapshot
from gateway.drivers.heard_answers import HOLD, HeardUpstream
from gateway.drivers.traces.names import NAMES, SCHEMA_URL, TAG
from gateway.drivers.traces.places import Places
from gateway.drivers.traces.traceparent import CALL, PARENT, written
from gateway.drivers.traces.words import answer_messages, asks, request_messages

_PATH: Final = "/v1/chat/completions"
_SEND_S: Final = 5
_SEEN: Final[ContextVar[Context | None]] = ContextVar("seen", default=None)
"""The trace of the life that is lived in this task: what follows it belongs to it."""
_VOTES: Final = frozenset({"vote", "arbitration"})
_NOTHING: Final = Context()
_ENDS: Final = (events.Replied, events.Denied, events.Dropped, events.AuditEnded)


class _Traced:
    """A life that is not over: its span, and those of its calls by their holds."""

    __slots__ = ("calls", "context", "recorded", "request", "span")

    def __init__(self, span: Span, request: ChatRequest | None) -> None:
        self.span = span
        self.recorded = span.is_recording()
        """Else it was left out by the sample, and so are its calls."""
        self.context = set_span_in_context(span, _NOTHING)
        self.request = request
        self.calls: dict[str, Span] = {}


class Traces:
    """`hears` takes in what it names, `tap` goes between calls and clients where words are sent."""

    def __init__(self, tracer: Tracer, otel: Otel, snapshot: Snapshot, redactor: Redactor) -> None:
        self._tracer = tracer
        self._content = otel.content
        self._shown = redactor
        self._lives: dict[str, _Traced] = {}
        self._places = Places(snapshot)
        amid: Mapping[type, Callable[[_Traced, Any], None]] = {
            events.Planned: self._planned,
            events.HoldRefused: self._refused,
            events.Judged: self._judged,
            events.Escalated: self._escalated,
            events.FellBack: self._fell_back,
            events.CacheAsked: self._cache_asked,
        }
        self.hears: Hears = {
            events.Began: self._began,
            events.AuditBegan: self._began,
            events.Reserved: self._amid(self._reserved, recorded=False),
            events.Settled: self._amid(self._settled, recorded=False),
            **{kind: self._amid(write) for kind, write in amid.items()},
            **dict.fromkeys(_ENDS, self._on_end),
        }

    def reconfigure(self, snapshot: Snapshot) -> None:
        """Go by this configuration."""
        self._places = Places(snapshot)

    def tap(self, upstream: Upstream) -> Upstream:
        return HeardUpstream(upstream, self._on_answer) if self._content else upstream

    def _amid(
        self, write: Callable[[_Traced, Any], None], *, recorded: bool = True
    ) -> Callable[[Any], None]:
        """Of lives that are `recorded`, or of all: a call's provider is told of each."""

        def tell(event: Any) -> None:
            life = self._lives.get(event.about.request_id)
            if life is not None and (life.recorded or not recorded):
                write(life, event)

        return tell

    def _on_end(self, event: Any) -> None:
        life = self._lives.pop(event.about.request_id, None)
        if life is not None and life.recorded:
            self._finish_span(life, event)

    def _began(self, event: events.Began | events.AuditBegan) -> None:
        about = event.about
        seen = isinstance(event, events.Began)
        parent = _parent() if seen else _SEEN.get()
        name, kind = f"POST {_PATH}", SpanKind.SERVER
        if not seen:
            name, kind = f"behind {about.route}", SpanKind.INTERNAL
        span = self._tracer.start_span(name, parent or _NOTHING, kind)
        life = self._lives[about.request_id] = _Traced(span, getattr(event, "request", None))
        _SEEN.set(life.context)
        if not life.recorded:
            return
        told = self._attributes(
            request=about.request_id, tenant=about.tenant, route=about.route, key=about.key,
            stream=about.stream,
        )  # fmt: skip
        if seen:
            told |= self._attributes(method="POST", http_route=_PATH, path=_PATH, scheme="http")
        names = self._shown.names
        told |= {f"{TAG}{tag}": names[value] for tag, value in about.tags.items()}
        span.set_attributes(told)
        if self._content and life.request is not None:
            self._words(span, "asked", request_messages(life.request))

    def _planned(self, life: _Traced, event: events.Planned) -> None:
        life.span.set_attributes(self._attributes(rungs=event.rungs, skipped=event.skipped))

    def _reserved(self, life: _Traced, event: events.Reserved) -> None:
        """A call is about to be made. Which, is told when it is over."""
        told: dict[str, Any] = {}
        if life.recorded:
            told = self._attributes(operation="chat", held=event.amount / PER_USD)
            told |= asks(life.request, stream=event.about.stream)
        span = self._tracer.start_span("chat", life.context, SpanKind.CLIENT, told)
        life.calls[event.hold] = span
        context = span.get_span_context()
        sampled = context.trace_flags.sampled
        CALL.set(written(context.trace_id, context.span_id, sampled=sampled))
        if self._content:
            HOLD.set((event.about.request_id, event.hold))

    def _settled(self, life: _Traced, event: events.Settled) -> None:
        call = event.record
        span = life.calls.pop(call.attempt, None)
        if span is None or not life.recorded:
            return
        usage = call.usage
        asked, place = self._places.of(call.provider, call.model)
        told = self._attributes(
            asked_model=asked, model=call.model, via=call.provider, tier=call.tier,
            purpose=call.purpose, outcome=call.outcome, cost=call.cost / PER_USD,
            counted=call.counted, prompt=usage.prompt, completion=usage.completion,
            cached=usage.cached, cache_write=usage.cache_write, reasoning=usage.reasoning,
        ) | place  # fmt: skip
        if call.first_token_s is not None:
            told |= self._attributes(first_token_s=call.first_token_s)
        span.update_name(f"chat {asked}")
        if call.outcome not in ("ok", "cut"):
            told |= self._attributes(error=call.outcome)
            span.set_status(Status(StatusCode.ERROR))
        span.set_attributes(told)
        span.end()
        if call.purpose in _VOTES:
            vote = self._attributes(model=call.model, tier=call.tier, outcome=call.outcome)
            life.span.add_event(call.purpose, vote)

    def _judged(self, life: _Traced, event: events.Judged) -> None:
        told = self._attributes(model=event.model, tier=event.tier, failed=event.failed)
        life.span.add_event("judged", told)

    def _escalated(self, life: _Traced, event: events.Escalated) -> None:
        told = {"from": event.from_tier, "to": event.to_tier, "reason": event.reason}
        life.span.add_event("escalation", self._attributes(**told))

    def _fell_back(self, life: _Traced, event: events.FellBack) -> None:
        told = {"from": event.from_model, "to": event.to_model, "reason": event.reason}
        life.span.add_event("fallback", self._attributes(**told))

    def _refused(self, life: _Traced, event: events.HoldRefused) -> None:
        life.span.add_event("refused", self._attributes(scope=f"{event.scope} {event.meter}"))

    def _cache_asked(self, life: _Traced, event: events.CacheAsked) -> None:
        life.span.set_attributes(self._attributes(cache=event.outcome))

    def _finish_span(self, life: _Traced, event: Any) -> None:
        span, kind = life.span, type(event)
        if kind is events.Replied:
            told = self._attributes(
                status=200, outcome="replied", reason=event.reason, model=event.model,
                via=event.provider, tier=event.tier, cost=event.spent / PER_USD,
            )  # fmt: skip
            if self._content and event.answer is not None:
                self._words(span, "answer", answer_messages(event.answer))
        elif kind is events.Denied:
            told = self._attributes(status=event.status, outcome="denied", error=event.code)
            if event.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
        elif kind is events.Dropped:
            told = self._attributes(outcome="dropped", error="client_gone")
        else:
            told = self._attributes(outcome=event.outcome)
        span.set_attributes(told)
        span.end()

    def _on_answer(self, request_id: str, hold: str, answer: Completion) -> None:
        life = self._lives.get(request_id)
        span = life.calls.get(hold) if life is not None and life.recorded else None
        if span is not None:
            self._words(span, "answer", answer_messages(answer))
            told = self._attributes(finish=tuple(choice.finish for choice in answer.choices))
            span.set_attributes(
                told | (self._attributes(response_id=answer.id) if answer.id else {})
            )

    def _words(self, span: Span, name: str, words: Any) -> None:
        if span.is_recording():
            text = self._shown.bytes(msgspec.json.encode(words))
            span.set_attribute(NAMES[name], text.decode())

    def _attributes(self, **values: Any) -> dict[str, Any]:
        """By the names of the table; no text without a look for keys."""
        names = self._shown.names
        return {
            NAMES[name]: names[value] if type(value) is str else value
            for name, value in values.items()
        }


def _parent() -> Context | None:
    """Of the trace that the client named."""
    parent = PARENT.get()
    if parent is None:
        return None
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    remote = SpanContext(parent.trace, parent.span, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(remote), _NOTHING)


@asynccontextmanager
async def open_traces(otel: Otel, snapshot: Snapshot, redactor: Redactor) -> AsyncIterator[Traces]:
    """All spans that have ended are sent at the end, as far as somebody takes them."""
    exporter = OTLPSpanExporter(otel.endpoint, headers=dict(otel.headers), timeout=_SEND_S)
    about = {"service.name": otel.service, "service.version": __version__}
    provider = TracerProvider(
        resource=Resource.create(about, SCHEMA_URL),
        sampler=ParentBased(TraceIdRatioBased(otel.sample)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("tollgate", __version__, schema_url=SCHEMA_URL)
    try:
        yield Traces(tracer, otel, snapshot, redactor)
    finally:
        await asyncio.to_thread(provider.shutdown)
