"""Asks a configured URL, such as the owner's test runner, whether an answer is good.

It has connections of its own, each exchange with one deadline: a server that hangs, drips or never
ends is abandoned. URLs come from the configuration, and are never shown. No redirects.
"""

import time
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from gateway.core.catalog import Check
from gateway.core.chat import Completion
from gateway.core.checks.external import MAX_ANSWER, NoVerdict, hook_body, hook_verdict
from gateway.core.checks.finding import Finding
from gateway.core.errors import UpstreamError
from gateway.drivers.upstream.deadline_wheel import DeadlineWheel
from gateway.drivers.upstream.http_connection import WHOLE, Connection
from gateway.drivers.upstream.http_pool import Pool, tls_context
from gateway.drivers.upstream.http_request import Origin, PostBuilder
from gateway.wire.dialect import HttpCall

_HEADERS: Final = {
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "tollgate",
}
_NO_HEADERS: Final[dict[str, str]] = {}


class WebhookChecks:
    """A Runner. Use as an async context manager; it owns its connections."""

    def __init__(self, *, connect_s: float, cafile: str | None = None) -> None:
        self._connect_s = connect_s
        self._cafile = cafile
        self._wheel: DeadlineWheel | None = None
        self._hooks: dict[str, _Hook] = {}

    async def __aenter__(self) -> Self:
        self._wheel = DeadlineWheel()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for hook in self._hooks.values():
            await hook.pool.aclose()
        if self._wheel is not None:
            self._wheel.close()

    def reconfigure(self, connect_s: float) -> None:
        """Drop all connections: URLs may have changed."""
        self._connect_s = connect_s
        for hook in self._hooks.values():
            hook.pool.retire()
        self._hooks = {}

    async def __call__(
        self, check: Check, answer: Completion, request_id: str, *, timeout_s: float
    ) -> Finding | None:
        hook = self._hook(str(check.options["url"]))
        status, body = await hook.post(hook_body(check, request_id, answer), timeout_s)
        return hook_verdict(check, status, body)

    def _hook(self, url: str) -> "_Hook":
        hook = self._hooks.get(url)
        if hook is None:
            if self._wheel is None:
                raise NoVerdict("closed")
            tls = tls_context(self._cafile) if url.startswith("https:") else None
            parts = urlsplit(url)
            bare = Origin(parts._replace(query="", fragment="").geturl())
            pool = Pool(bare.host, bare.port, tls, self._wheel, connect_s=self._connect_s)
            path = ("" if parts.path else "/") + (f"?{parts.query}" if parts.query else "")
            hook = self._hooks[url] = _Hook(pool, PostBuilder(bare, _HEADERS), path)
        return hook


class _Hook:
    """One URL. `path` is appended to the URL's own path: its query, if any."""

    def __init__(self, pool: Pool, builder: PostBuilder, path: str) -> None:
        self.pool = pool
        self._builder = builder
        self._path = path

    async def post(self, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Status and body. Raises NoVerdict."""
        deadline = time.monotonic() + timeout_s
        try:
            post = self._builder.build(HttpCall(self._path, _NO_HEADERS, body))
            answer = await self.pool.ask(post, deadline, whole=False)
            try:
                content = await _read_body(answer, deadline)
            except BaseException:
                answer.close()
                raise
        except UpstreamError as error:
            raise NoVerdict(error.kind) from None
        status = answer.status
        self.pool.release(answer)
        return status, content


async def _read_body(answer: Connection, deadline: float) -> bytes:
    body = b""
    while True:
        if piece := answer.take():
            body += piece
            if len(body) > MAX_ANSWER:
                raise NoVerdict("too_long")
        elif answer.state == WHOLE:
            return body
        else:
            await answer.wait(deadline)
