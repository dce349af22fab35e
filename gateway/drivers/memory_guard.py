"""States of guards in this process's memory."""

import asyncio
from collections.abc import Mapping

from gateway.core.guard import Growth, Guard


class MemoryGuard:
    """Behaves as in Redis, for one caller; see GuardStore."""

    def __init__(self) -> None:
        self._states: dict[str, Guard] = {}
        self._number = -1

    async def grow(self, number: int, growths: Mapping[str, Growth]) -> Mapping[str, Guard]:
        await asyncio.sleep(0)
        if number > self._number:
            self._number = number
            for name, growth in growths.items():
                if growth != Growth(memory=growth.memory):
                    self._states[name] = growth.onto(self._states.get(name, Guard()))
        return {name: self._states.get(name, Guard()) for name in growths}

    async def aclose(self) -> None:
        pass
