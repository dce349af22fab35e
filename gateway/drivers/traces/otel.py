"""Traces, as an observer of events: a SERVER span for each request, in it a CLIENT span for each
call to a provider. Imported only where traces are configured.

An OpenTelemetry thread exports them, by OTLP over HTTP. They have no content of requests or answers
unless that is configured, and never a key.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final

import msgspec
from opentelemetry.context import Context
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
from gateway.core.observers import Handlers
from gateway.core.ports import Upstream
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Otel, Snapshot
from gateway.drivers.tapped_upstream import HOLD, TappedUpstream
from gateway.drivers.traces.exporter import Exporter
from gateway.drivers.traces.names import NAMES, SCHEMA_URL, TAG
from gateway.drivers.traces.places import Places
from gateway.drivers.traces.traceparent import CALL_TRACEPARENT, PARENT, format_traceparent
from gateway.drivers.traces.words import answer_messages, request_attributes, request_messages

_PATH: Final = "/v1/chat/completions"
_LIFE_CONTEXT: Final[ContextVar[Context | None]] = ContextVar("seen", default=None)
"""The trace context of this task's life, for background lives that follow it."""
_VOTES: Final = frozenset({"vote", "arbitration"})
_EMPTY_CONTEXT: Final = Context()
_END_EVENTS: Final = (events.Replied, events.Denied, events.Dropped, events.AuditEnded)


class _TracedLife:
    """A life in progress: its span, and those of its calls by hold id."""

    __slots__ = ("calls", "context", "recorded", "request", "span")

    def __init__(self, span: Span, request: ChatRequest | None) -> None:
        self.span = span
        self.recorded = span.is_recording()
        """False if it was not sampled; then neither are its calls."""
        self.context = set_span_in_context(span, _EMPTY_CONTEXT)
        self.request = request
        self.calls: dict[str, Span] = {}


class Traces:
    """`handlers` take events by type; `tap` wraps an Upstream where content is sent."""

    def __init__(
        self, tracer: Tracer, exporter: Exporter, otel: Otel, snapshot: Snapshot, redactor: Redactor
    ) -> None:
        self._tracer = tracer
        self._exporter = exporter
        self._content = otel.content
        self._redactor = redactor
        self._lives: dict[str, _TracedLife] = {}
        self._early_lookups: dict[str, str] = {}
        self._places = Places(snapshot)
        life_handlers: Mapping[type, Callable[[_TracedLife, Any], None]] = {
            events.Planned: self._planned,
            events.HoldRefused: self._refused,
            events.Judged: self._judged,
            events.Escalated: self._escalated,
            events.FellBack: self._fell_back,
        }
        self.handlers: Handlers = {
            events.Began: self._began,
            events.AuditBegan: self._began,
            events.Reserved: self._handler(self._reserved, recorded=False),
            events.Settled: self._handler(self._settled, recorded=False),
            events.CacheLookup: self._cache_lookup,
            **{kind: self._handler(write) for kind, write in life_handlers.items()},
            **dict.fromkeys(_END_EVENTS, self._on_end),
        }

    def reconfigure(self, snapshot: Snapshot) -> None:
        """Use this configuration."""
        self._places = Places(snapshot)

    def tap(self, upstream: Upstream) -> Upstream:
        return TappedUpstream(upstream, self._on_answer) if self._content else upstream

    def _handler(
        self, write: Callable[[_TracedLife, Any], None], *, recorded: bool = True
    ) -> Callable[[Any], None]:
        """A handler for lives that are `recorded`, or for all: calls of unsampled lives carry a
        traceparent as well.
        """

        def handle(event: Any) -> None:
            life = self._lives.get(event.about.request_id)
            if life is not None and (life.recorded or not recorded):
                write(life, event)

        return handle

    def _on_end(self, event: Any) -> None:
        life = self._lives.pop(event.about.request_id, None)
        if life is not None and life.recorded:
            self._finish_span(life, event)

    def _began(self, event: events.Began | events.AuditBegan) -> None:
        about = event.about
        is_request = isinstance(event, events.Began)
        parent = _parent_context() if is_request else _LIFE_CONTEXT.get()
        name, kind = f"POST {_PATH}", SpanKind.SERVER
        if not is_request:
            name, kind = f"behind {about.route}", SpanKind.INTERNAL
        span = self._tracer.start_span(name, parent or _EMPTY_CONTEXT, kind)
        life = self._lives[about.request_id] = _TracedLife(span, getattr(event, "request", None))
        _LIFE_CONTEXT.set(life.context)
        lookup = self._early_lookups.pop(about.request_id, None) if self._early_lookups else None
        if not life.recorded:
            return
        attributes = self._attributes(
            request=about.request_id, tenant=about.tenant, route=about.route, key=about.key,
            stream=about.stream,
        )  # fmt: skip
        if lookup is not None:
            attributes |= self._attributes(cache=lookup)
        if is_request:
            attributes |= self._attributes(
                method="POST", http_route=_PATH, path=_PATH, scheme="http"
            )
        names = self._redactor.names
        attributes |= {f"{TAG}{tag}": names[value] for tag, value in about.tags.items()}
        span.set_attributes(attributes)
        if self._content and life.request is not None:
            self._set_content(span, "asked", request_messages(life.request))

    def _planned(self, life: _TracedLife, event: events.Planned) -> None:
        life.span.set_attributes(self._attributes(rungs=event.rungs, skipped=event.skipped))

    def _reserved(self, life: _TracedLife, event: events.Reserved) -> None:
        """Starts a call's span; its model and provider are known at `_settled`."""
        attributes: dict[str, Any] = {}
        if life.recorded:
            attributes = self._attributes(operation="chat", held=event.amount / PER_USD)
            attributes |= request_attributes(life.request, stream=event.about.stream)
        span = self._tracer.start_span("chat", life.context, SpanKind.CLIENT, attributes)
        life.calls[event.hold] = span
        context = span.get_span_context()
        sampled = context.trace_flags.sampled
        CALL_TRACEPARENT.set(format_traceparent(context.trace_id, context.span_id, sampled=sampled))
        if self._content:
            HOLD.set((event.about.request_id, event.hold))

    def _settled(self, life: _TracedLife, event: events.Settled) -> None:
        call = event.record
        span = life.calls.pop(call.attempt, None)
        if span is None or not life.recorded:
            return
        usage = call.usage
        upstream_model, server = self._places.locate(call.provider, call.model)
        attributes = self._attributes(
            asked_model=upstream_model, model=call.model, via=call.provider, tier=call.tier,
            purpose=call.purpose, outcome=call.outcome, cost=call.cost / PER_USD,
            counted=call.counted, prompt=usage.prompt, completion=usage.completion,
            cached=usage.cached, cache_write=usage.cache_write, reasoning=usage.reasoning,
        ) | server  # fmt: skip
        if call.first_token_s is not None:
            attributes |= self._attributes(first_token_s=call.first_token_s)
        span.update_name(f"chat {upstream_model}")
        if call.outcome not in ("ok", "cut"):
            attributes |= self._attributes(error=call.outcome)
            span.set_status(Status(StatusCode.ERROR))
        span.set_attributes(attributes)
        span.end()
        if call.purpose in _VOTES:
            vote = self._attributes(model=call.model, tier=call.tier, outcome=call.outcome)
            life.span.add_event(call.purpose, vote)

    def _judged(self, life: _TracedLife, event: events.Judged) -> None:
        attributes = self._attributes(model=event.model, tier=event.tier, failed=event.failed)
        life.span.add_event("judged", attributes)

    def _escalated(self, life: _TracedLife, event: events.Escalated) -> None:
        values = {"from": event.from_tier, "to": event.to_tier, "reason": event.reason}
        life.span.add_event("escalation", self._attributes(**values))

    def _fell_back(self, life: _TracedLife, event: events.FellBack) -> None:
        values = {"from": event.from_model, "to": event.to_model, "reason": event.reason}
        life.span.add_event("fallback", self._attributes(**values))

    def _refused(self, life: _TracedLife, event: events.HoldRefused) -> None:
        life.span.add_event("refused", self._attributes(scope=f"{event.scope} {event.meter}"))

    def _cache_lookup(self, event: events.CacheLookup) -> None:
        """A miss is observed before the life begins."""
        life = self._lives.get(event.about.request_id)
        if life is None:
            self._early_lookups[event.about.request_id] = event.outcome
        else:
            life.span.set_attributes(self._attributes(cache=event.outcome))

    def _finish_span(self, life: _TracedLife, event: Any) -> None:
        span, kind = life.span, type(event)
        if kind is events.Replied:
            attributes = self._attributes(
                status=200, outcome="replied", reason=event.reason, model=event.model,
                via=event.provider, tier=event.tier, cost=event.spent / PER_USD,
            )  # fmt: skip
            if self._content and event.answer is not None:
                self._set_content(span, "answer", answer_messages(event.answer))
        elif kind is events.Denied:
            attributes = self._attributes(status=event.status, outcome="denied", error=event.code)
            if event.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
        elif kind is events.Dropped:
            attributes = self._attributes(outcome="dropped", error="client_gone")
        else:
            attributes = self._attributes(outcome=event.outcome)
        span.set_attributes(attributes)
        span.end()

    def _on_answer(self, request_id: str, hold: str, answer: Completion) -> None:
        life = self._lives.get(request_id)
        span = life.calls.get(hold) if life is not None and life.recorded else None
        if span is not None:
            self._set_content(span, "answer", answer_messages(answer))
            attributes = self._attributes(finish=tuple(choice.finish for choice in answer.choices))
            span.set_attributes(
                attributes | (self._attributes(response_id=answer.id) if answer.id else {})
            )

    def _set_content(self, span: Span, name: str, messages: Any) -> None:
        """None while the collector takes nothing: the spans of a full queue would be gigabytes."""
        if span.is_recording() and not self._exporter.failing:
            text = self._redactor.bytes(msgspec.json.encode(messages))
            span.set_attribute(NAMES[name], text.decode())

    def _attributes(self, **values: Any) -> dict[str, Any]:
        """By the names of the table; texts are redacted."""
        names = self._redactor.names
        return {
            NAMES[name]: names[value] if type(value) is str else value
            for name, value in values.items()
        }


def _parent_context() -> Context | None:
    """The context of the client's traceparent, if any."""
    parent = PARENT.get()
    if parent is None:
        return None
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    remote = SpanContext(parent.trace, parent.span, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(remote), _EMPTY_CONTEXT)


@asynccontextmanager
async def open_traces(otel: Otel, snapshot: Snapshot, redactor: Redactor) -> AsyncIterator[Traces]:
    """Ended spans are flushed at the end, if the collector accepts them."""
    exporter = Exporter(otel)
    about = {"service.name": otel.service, "service.version": __version__}
    provider = TracerProvider(
        resource=Resource.create(about, SCHEMA_URL),
        sampler=ParentBased(TraceIdRatioBased(otel.sample)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("tollgate", __version__, schema_url=SCHEMA_URL)
    try:
        yield Traces(tracer, exporter, otel, snapshot, redactor)
    finally:
        exporter.stopping = True
        await asyncio.to_thread(provider.shutdown)
