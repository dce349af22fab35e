"""Hears what providers answer, for who is told to keep words: put between calls and the client.

Which call it is is known from the hold that was told in the same task, just before the call.
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
"""The life, and the hold of the call that it is about to make."""
Hears = Callable[[str, str, Completion], None]
"""Told the life, the hold and the answer; of one that broke off what there was of it."""


class HeardUpstream:
    """An Upstream like the one it is given."""

    def __init__(self, upstream: Upstream, hears: Hears) -> None:
        self._upstream = upstream
        self._hears = hears

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        call = HOLD.get()
        answer = await self._upstream.send(candidate, request, timeout_s=timeout_s)
        self._hears(*call, answer)
        return answer

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Deltas:
        call, assembly, whole = HOLD.get(), Assembly(), False
        flow = self._upstream.stream(candidate, request, timeout_s=timeout_s)
        try:
            async with aclosing(flow) as deltas:
                async for some in deltas:
                    assembly.add(some)
                    yield some
            whole = True
        finally:
            self._hears(*call, assembly.completion(None, whole=whole))
