"""Keys in this process's memory."""

from collections.abc import Mapping
from itertools import count

from gateway.core.keys import NEVER, Changes, KeyRecord, Version


class MemoryKeys:
    """Behaves as in Redis; see KeyStore."""

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}
        self._changed: dict[str, int] = {}
        """The version of each key's last change, oldest first; includes removed keys."""
        self._numbers = count(1)
        self._version = NEVER
        self._used: dict[str, float] = {}

    async def changes(self, since: Version) -> Changes | None:
        if since == self._version:
            return None
        if since[0] != self._version[0]:
            return Changes(self._version, tuple(self._records.values()), whole=True)
        changed = [key_id for key_id, number in self._changed.items() if number > since[1]]
        records = tuple(self._records[each] for each in changed if each in self._records)
        gone = tuple(each for each in changed if each not in self._records)
        return Changes(self._version, records, gone)

    async def find(self, key_id: str) -> KeyRecord | None:
        return self._records.get(key_id)

    async def save(self, record: KeyRecord) -> bool:
        current = self._records.get(record.id)
        if current == record:
            return True
        if record.revision != (current.revision if current else 0) + 1:
            return False
        self._records[record.id] = record
        self._record_change(record.id)
        return True

    async def remove(self, key_id: str) -> bool:
        if self._records.pop(key_id, None) is None:
            return False
        self._used.pop(key_id, None)
        self._record_change(key_id)
        return True

    async def touch(self, used: Mapping[str, float]) -> None:
        for name, at in used.items():
            if "/" in name or name in self._records:
                self._used[name] = max(at, self._used.get(name, 0.0))

    async def last_used(self) -> Mapping[str, float]:
        return dict(self._used)

    async def aclose(self) -> None:
        pass

    def _record_change(self, key_id: str) -> None:
        self._changed.pop(key_id, None)
        number = next(self._numbers)
        self._changed[key_id] = number
        self._version = ("memory", number)
