"""The ledger's Lua scripts, and the commands that call them, with cached prefixes.

Two reserves of a purse in one period differ only in the hold's id, its amounts and its life, so all
that comes before them on the wire is encoded once.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Final

import msgspec

from gateway.core.accounts import Amounts
from gateway.core.leases import Record
from gateway.core.records.entry import METERS, Counter
from gateway.core.records.record import encode as as_line
from gateway.drivers.ledger.plans import Line, Plan, escape, prefix, read_key
from gateway.drivers.redis.wire import encode

_FOLDER: Final = Path(__file__).with_name("scripts")
_PRELUDE: Final = (_FOLDER / "prelude.lua").read_text()
_NAMES: Final = (
    "reserve",
    "settle",
    "void",
    "charge",
    "balances",
    "sweep",
    "leave",
    "renew",
    "load",
)
_INCLUDE: Final = re.compile(r"^ *-- include (\w+\.lua)\n", re.MULTILINE)


def _read_script(name: str) -> str:
    """A script's source, with its includes."""
    return _INCLUDE.sub(lambda found: _read_script(found[1]), (_FOLDER / name).read_text())


_SOURCES: Final = {name: _read_script(f"{name}.lua") for name in _NAMES}
_AT_ONCE: Final = 500
"""Buckets that one script sets."""
SWEEP_BATCH: Final = 100
"""The most expired holds that one sweep charges."""
_MODES: Final = ("hard", "soft", "shadow")
_SIZES: Final = tuple(b"$%d\r\n" % size for size in range(1_024))
"""Encoded argument lengths by number: formatting one takes five times as long."""
# As an int: `b"\\" in data` takes ten times as long.
_BACKSLASH: Final = ord("\\")
_pack: Final = msgspec.msgpack.Encoder().encode
_json: Final = msgspec.json.Encoder().encode


class Scripts:
    """The scripts by name: the commands that load them, and their hashes.

    `time` is the command for the server's time, in seconds and microseconds.
    """

    def __init__(self, *time: str) -> None:
        self.time = encode(*(time or ("TIME",)))
        clock = f"redis.call({', '.join(map(repr, time or ('TIME',)))})"
        prelude = _PRELUDE.replace("redis.call('TIME')", clock)
        sources = {name: (prelude + source).encode() for name, source in _SOURCES.items()}
        self.load = tuple(encode("SCRIPT", "LOAD", source) for source in sources.values())
        self._sha = {
            name: sha1(source, usedforsecurity=False).hexdigest()
            for name, source in sources.items()
        }
        self._sources = {self._sha[name].encode(): source for name, source in sources.items()}

    def head(
        self, script: str, keys: Sequence[str], arguments: Iterable[str | bytes | int], more: int
    ) -> bytes:
        """An EVALSHA to which `more` arguments are still to be appended."""
        parts = ("EVALSHA", self._sha[script], len(keys), *keys, *arguments)
        _, _, body = encode(*parts).partition(b"\r\n")
        return b"*%d\r\n%b" % (len(parts) + more, body)

    def with_source(self, command: bytes) -> bytes:
        """An EVALSHA as an EVAL with the source, for a server that does not have the script."""
        count, _, _, _, sha, rest = command.split(b"\r\n", 5)
        source = self._sources[sha]
        parts = (count, b"$4", b"EVAL", b"$%d" % len(source), source, rest)
        return b"\r\n".join(parts)


SCRIPTS: Final = Scripts()


class HomeCommands:
    """The commands of one home. `max_entries` is about how many entries its book keeps."""

    def __init__(self, home: str, scripts: Scripts, max_entries: int) -> None:
        self._scripts = scripts
        self._max_entries = max_entries
        self.tag = prefix(home)
        self._holds = f"{self.tag}holds"
        self._settle = self._head("settle", more=2)
        self._void = self._head("void", more=2)
        self._leave = self._head("leave", more=1)
        self.sweep = self._head("sweep", SWEEP_BATCH)
        self.open = self._head("sweep", 0)
        self.state = encode("HMGET", f"{self.tag}state", "epoch", "after", "seq")

    def reserve(self, plan: Plan, ttl_ms: int, tenant: str, epoch: str, fresh: str) -> bytes:
        """All but what `reserve_command` appends. `fresh` is a name for a new epoch."""
        spec: list[int | str] = [ttl_ms, plan.start, plan.end, epoch, fresh, _one_line(tenant)]
        for line in (*plan.lines, *plan.places):
            meter = "0" if line.meter == "at_once" else str(METERS.index(line.meter) + 1)
            spec += (meter, line.slot_ms, line.expires, len(line.limits), *_limits(line))
        return self._head("reserve", b"".join(map(_pack, spec)), keys=_keys(plan), more=1)

    def settle(self, hold_id: str, actual: Amounts, record: Record | None) -> bytes:
        """`actual.requests` is ignored: the hold's count. For the id, see `reserve_command`."""
        record_json = b"" if record is None else as_line(record)
        argument = _json((actual.nanos, actual.tokens, hold_id))
        if _BACKSLASH in argument:
            argument = f'[{actual.nanos},{actual.tokens},"{hold_id}"]'.encode()
        try:
            first, second = _SIZES[len(argument)], _SIZES[len(record_json)]
        except IndexError:
            first, second = b"$%d\r\n" % len(argument), b"$%d\r\n" % len(record_json)
        return b"".join((self._settle, first, argument, b"\r\n", second, record_json, b"\r\n"))

    def void(self, hold_id: str) -> bytes:
        nothing = f'[0,0,"{hold_id}"]'.encode()
        return b"%b$%d\r\n%b\r\n$0\r\n\r\n" % (self._void, len(nothing), nothing)

    def leave(self, life: str) -> bytes:
        life_id = _quoted_life(life)
        return self._leave + f"${len(life_id)}\r\n{life_id}\r\n".encode()

    def renew(self, life: str, ttl_ms: int) -> bytes:
        return self._head("renew", _quoted_life(life), ttl_ms)

    def balances(self, plan: Plan, epoch: str) -> bytes:
        lines = [(line.slot_ms, line.expires) for line in plan.lines]
        spec = _pack((plan.start, plan.end, epoch, [*lines, *(False for _ in plan.places)]))
        return self._head("balances", spec, keys=_keys(plan))

    def charge(
        self,
        plan: Plan,
        tenant: str,
        call: tuple[str, float],
        actual: Amounts,
        record: Record | None,
    ) -> bytes:
        """`call` is its id, and when it was; 0 is now."""
        name, at = call
        spec = _pack((_one_line(tenant), int(at * 1_000), [_spec(line) for line in plan.lines]))
        record_json = b"" if record is None else as_line(record)
        keys = [line.key for line in plan.lines]
        return self._head(
            "charge",
            spec,
            name,
            f"{actual.nanos} {actual.tokens} {actual.requests}",
            record_json,
            keys=keys,
        )

    def load(
        self,
        spent: Mapping[Counter, int],
        ttl_ms: int,
        final: tuple[str, str, int],
        newest: str | None,
        *,
        force: bool,
    ) -> list[bytes]:
        """Commands to run in order. `final` goes with the last: a new epoch, the epochs it follows,
        and the least number of the next entry.
        """
        buckets: dict[str, list[int]] = {}
        for (key, slot), amount in spent.items():
            parsed = read_key(key, ttl_ms)
            if parsed is None or not key.startswith(self.tag):
                raise ValueError(f"not a bucket of this home: {key}")
            buckets.setdefault(key, [parsed.slot_ms, parsed.expires]).extend((slot, amount))
        keys = [*buckets]
        parts = [keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE)] or [[]]
        return [
            self._head(
                "load",
                int(force),
                *(final if part is parts[-1] else ("", "", 0)),
                _pack([buckets[key] for key in part]),
                "any" if newest is None else newest,
                keys=part,
            )
            for part in parts
        ]

    def scan(self, cursor: str) -> bytes:
        return encode("SCAN", cursor, "MATCH", f"{self.tag}b:*", "COUNT", 1_000)

    def is_bucket(self, key: str) -> bool:
        return read_key(key, 0) is not None

    def bucket(self, key: str) -> bytes:
        return encode("HGETALL", key)

    def trim(self, max_entries: int) -> bytes:
        return encode("XTRIM", f"{self.tag}usage", "MAXLEN", "~", max_entries)

    def entries(self, after: str, count: int) -> bytes:
        start = f"({after}" if after else "-"
        return encode("XRANGE", f"{self.tag}usage", start, "+", "COUNT", count)

    def _head(
        self, script: str, *arguments: str | bytes | int, keys: Iterable[str] = (), more: int = 0
    ) -> bytes:
        return self._scripts.head(
            script, (self._holds, *keys), (self._max_entries, *arguments), more
        )


def first_hold(home: str) -> bytes:
    """The command for the open hold that expires first, without a HomeCommands."""
    return encode("ZRANGE", f"{prefix(home)}holds", 0, 0, "WITHSCORES")


def reserve_command(head: bytes, hold_id: str, amounts: Amounts, life: str) -> bytes:
    """The whole reserve command, from a purse's prepared head. Raises ValueError for an id that is
    not ASCII: we make them ourselves.
    """
    life_id = life or hold_id
    if not life_id.isascii():
        life_id = escape(life_id)
    # As JSON, which msgspec encodes in a third of the time of an f-string.
    argument = _json((amounts.nanos, amounts.tokens, amounts.requests, life_id, hold_id))
    if _BACKSLASH in argument or not argument.isascii():  # the script reads ids as they stand there
        numbers = f"{amounts.nanos},{amounts.tokens},{amounts.requests}"
        argument = f'[{numbers},"{_quoted_life(life_id)}","{hold_id}"]'.encode("ascii")
    try:
        size = _SIZES[len(argument)]
    except IndexError:
        size = b"$%d\r\n" % len(argument)
    return b"".join((head, size, argument, b"\r\n"))


def _quoted_life(text: str) -> str:
    """As it is stored in a hold: on one line, and safe between JSON's quotes."""
    plain = text.isascii() and len(_json(text)) == len(text) + 2
    return text if plain else escape(text)


def _one_line(text: str) -> str:
    """As it is stored in a hold, whose fields are lines."""
    return text if text.isascii() and text.isprintable() else escape(text)


def _spec(line: Line) -> list[int]:
    return [METERS.index(line.meter) + 1, line.slot_ms, line.expires]


def _limits(line: Line) -> list[int]:
    """For each limit its mode, its cap, and its warning threshold, four fifths of the cap."""
    spec: list[int] = []
    for _, budget in line.limits:
        cap, shadow = budget.cap, budget.mode == "shadow"
        spec += (_MODES.index(budget.mode), cap, cap + 1 if shadow else cap - cap // 5)
    return spec


def _keys(plan: Plan) -> list[str]:
    return [line.key for line in (*plan.lines, *plan.places)]
