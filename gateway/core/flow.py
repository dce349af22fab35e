"""A flowing answer, from the provider's connection to the client's.

    connection -> upstream -> call -> (watch, guard, cache) -> client

Each is a generator that asks the one before it for deltas. Once an answer flows, whoever takes it
may send a sink (`asend`): then it is not asked any more, and what comes is poured through at once.
That costs half of the CPU of asking for each piece.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeAlias

from gateway.core.chat import Delta

Sink: TypeAlias = Callable[[Sequence[Delta]], bool]
"""Takes deltas as they come; False when it can take no more for now."""
Deltas: TypeAlias = AsyncGenerator[Sequence[Delta], Sink | None]
"""Yields deltas that came together. One that was sent a sink yields () when that is full, and then
wants another; one that knows no sinks yields deltas all the same.
"""
