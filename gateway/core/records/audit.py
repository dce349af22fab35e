"""What the entries of a home add up to, and how its counters differ from that."""

from msgspec import Struct

from gateway.core.records.entry import Counter, Entry, of_meter
from gateway.core.records.line import Seen


class Difference(Struct, frozen=True):
    """A bucket, or a slot of a rolling one, that has not spent what the entries say."""

    key: str
    slot: int
    counted: int
    told: int


class Audit(Struct, frozen=True):
    """`entries` are how many were read, `missing` how many are neither in the book nor kept."""

    home: str
    counters: int
    entries: int
    missing: int
    differences: tuple[Difference, ...]


class TooBusy(Exception):
    """So much is written to a home's book that its counters cannot be set to what it says."""


class Told:
    """The sums of a home's entries."""

    def __init__(self) -> None:
        self.sums: dict[Counter, int] = {}
        self.entries = 0
        self._seen = (Seen(), Seen())
        self._numbers = Seen()
        self._lives: dict[str, list[int]] = {}
        """Of each epoch the first and the last number of an entry, and how many there are."""

    @property
    def epochs(self) -> list[str]:
        return [epoch for epoch in self._lives if epoch]

    @property
    def seq(self) -> int:
        return max((last for _, last, _ in self._lives.values()), default=0)

    @property
    def missing(self) -> int:
        gone = end = 0
        for first, last, count in sorted(self._lives.values()):
            between = first - end - 1 if first > end else first - 1
            gone += between + max(last - first + 1 - count, 0)
            end = last
        return gone

    def add(self, entry: Entry) -> list[Counter]:
        """The counters that it changed: none, when it came before."""
        if not self._seen[entry.kind == "corrected"].add(entry.hold):
            return []
        self.entries += 1
        life = self._lives.setdefault(entry.epoch, [entry.seq, entry.seq, 0])
        # The calls of a lease share a number.
        new = self._numbers.add(f"{entry.epoch}{entry.seq:08x}")
        life[:] = min(life[0], entry.seq), max(life[1], entry.seq), life[2] + new
        changed = []
        for bucket in entry.buckets:
            counter = (bucket.key, bucket.slot)
            amount = of_meter(entry.charged, bucket.meter)
            self.sums[counter] = self.sums.get(counter, 0) + amount
            changed.append(counter)
        return changed
