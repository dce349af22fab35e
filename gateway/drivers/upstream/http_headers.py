"""The headers of an answer, read only where somebody asks for one."""

from collections.abc import Iterator, Mapping


class Headers(Mapping[str, str]):
    """Names are looked up in lower case; of a name that came twice, the last.

    Providers send some twenty, and of a good answer hardly one is read: a dict of them would
    cost 4 us.
    """

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, bytes]] = []
        """As they came."""

    def find(self, name: bytes) -> bytes | None:
        """The value of a name in lower case."""
        size, found = len(name), None
        for said, value in self.lines:
            if len(said) == size and said.lower() == name:
                found = value
        return found

    def __getitem__(self, name: str) -> str:
        found = self.find(name.encode("latin-1", "replace"))
        if found is None:
            raise KeyError(name)
        return found.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1").lower() for name, _ in self.lines))

    def __len__(self) -> int:
        return sum(1 for _ in self)
