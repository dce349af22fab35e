"""The headers of an answer, read only where somebody asks for one."""

from collections.abc import Iterator, Mapping
from typing import Final


class Headers(Mapping[str, str]):
    """Names are looked up in lower case; of a name that came twice, the last.

    `said` has them as they came. Providers send some twenty, and of a good answer hardly one is
    read: to decode them all would cost 4 us.
    """

    __slots__ = ("_said",)

    def __init__(self, said: Mapping[bytes, bytes]) -> None:
        self._said = said

    def may_have(self, name: bytes) -> bool:
        """False for a name, in lower case, that is not there: known without a look at each."""
        return name in b"\n".join(self._said).lower()

    def find(self, name: bytes) -> bytes | None:
        """The value of a name in lower case."""
        if not self.may_have(name):
            return None
        found = None
        for said, value in self._said.items():
            if said.lower() == name:
                found = value
        return found

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(len(name) + len(value) for name, value in self._said.items())

    @property
    def ends_with_the_connection(self) -> bool:
        """RFC 9112, 6.3: an answer with these does not say how long it is."""
        coding = self.get("transfer-encoding", "").lower()
        return "content-length" not in self and not coding.endswith("chunked")

    def __getitem__(self, name: str) -> str:
        found = self.find(name.encode("latin-1", "replace"))
        if found is None:
            raise KeyError(name)
        return found.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1").lower() for name in self._said))

    def __len__(self) -> int:
        return sum(1 for _ in self)


NO_HEADERS: Final = Headers({})
