"""Passes providers' answers on to logs and traces that record content: wraps an Upstream.

The call is identified by HOLD, which is set in the same task just before the call.
"""

from collections.abc import Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import Final

from gateway.core.assembly import Assembly
from gateway.core.chat import ChatRequest, Completion
from gateway.core.flow import Deltas
from gateway.core.plan import Candidate
from gateway.core.ports import Upstream

HOLD: Final[ContextVar[tuple[str, str]]] = ContextVar("hold", default=("", ""))
"""The life's id, and the hold's id of its next call."""
OnAnswer = Callable[[str, str, Completion], None]
"""Gets the life's id, the hold's id and the answer; a broken-off stream's partial answer."""


class TappedUpstream:
    """Wraps an Upstream."""

    def __init__(self, upstream: Upstream, on_answer: OnAnswer) -> None:
        self._upstream = upstream
        self._on_answer = on_answer

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        call = HOLD.get()
        answer = await self._upstream.send(candidate, request, timeout_s=timeout_s)
        self._on_answer(*call, answer)
        return answer

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Deltas:
        call, assembly, whole = HOLD.get(), Assembly(), False
        flow = self._upstream.stream(candidate, request, timeout_s=timeout_s)
        try:
            async with aclosing(flow) as batches:
                async for deltas in batches:
                    assembly.add(deltas)
                    yield deltas
            whole = True
        finally:
            self._on_answer(*call, assembly.completion(None, whole=whole))
