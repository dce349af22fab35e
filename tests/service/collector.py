"""A small real OTLP collector: an HTTP server that keeps the spans it is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class Seen:
    """One span, in plain values."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    failed: bool
    ns: int


@dataclass
class Collector:
    url: str = ""
    spans: list[Seen] = field(default_factory=list)
    schemas: set[str] = field(default_factory=set)
    resources: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    raw: bytes = b""
    status: int = 200
    """What it answers: of others than 200 it keeps nothing."""

    def of(self, kind: str) -> list[Seen]:
        """In the order in which they ended."""
        return [span for span in self.spans if span.kind == kind]

    def keep(self, body: bytes) -> None:
        self.raw += body
        sent = ExportTraceServiceRequest.FromString(body)
        for resource in sent.resource_spans:
            self.resources.append(_plain(resource.resource.attributes))
            self.schemas.add(resource.schema_url)
            for scope in resource.scope_spans:
                self.schemas.add(scope.schema_url)
                self.spans += map(_seen, scope.spans)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head.decode())
                lines = head.decode().lower().split("\r\n")
                length = next(int(x[15:]) for x in lines if x.startswith("content-length:"))
                body = await reader.readexactly(length)
                if self.status == 200:
                    self.keep(body)
                writer.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % self.status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    server = await asyncio.start_server(collector.serve, "127.0.0.1", 0)
    collector.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces"
    async with server:
        yield collector


def _seen(span: Span) -> Seen:
    return Seen(
        span.name,
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _plain(span.attributes),
        [(event.name, _plain(event.attributes)) for event in span.events],
        span.status.code == Status.STATUS_CODE_ERROR,
        span.end_time_unix_nano - span.start_time_unix_nano,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
