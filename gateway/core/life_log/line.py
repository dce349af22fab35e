"""A life that is over as one line of a log: from its events, in order, and from nothing else.

Without content there is no word of the client's in it but its tags, and no word of a
model's: names, counts, money, times. The user is a hash. Every field is in docs/logs.md.

What lines have in common is written once and kept: a line costs a third of what encoding it does.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from gateway.core.chat import Usage
from gateway.core.events import (
    About,
    AuditEnded,
    CacheLookup,
    Denied,
    Escalated,
    Event,
    FellBack,
    HoldRefused,
    Judged,
    Planned,
    Replied,
    Settled,
)
from gateway.core.life_log.words import Content, Hash, add_answers, add_words
from gateway.core.records.record import UsageRecord

Names = Mapping[str, str]
"""Gives each text as it may be shown."""
K = TypeVar("K")

_GONE: Final = 499
"""The status of a client that went away, as proxies log it."""
_REMEMBERED: Final = 10_000
_json: Final = msgspec.json.Encoder().encode
_LIFE: Final = (
    b'{"time":"%b%b","request":"%b",%b"seconds":%.6f,"first_token_s":%b,%b"user":"%b","tags":%b,'
    b'"plan":%b,"cost":%d,"held":%d,"attempts":[%b]%b}\n'
)
_CALL: Final = (
    b'{%b"seconds":%.6f,"first_token_s":%b,"held":%d,"cost":%d,"usage":{"prompt":%d,'
    b'"completion":%d,%b'
)
_MS: Final = tuple([b".%03dZ" % ms for ms in range(1_000)])
_PLAIN: Final = b'"cached":0,"cache_write":0,"reasoning":0}'
_FLAGS: Final = {False: b"false", True: b"true"}


class _Kept(dict[K, bytes], Generic[K]):
    """What is written of something, found once; not for ever, where there is no end of it."""

    def __init__(self, write: Callable[[K], bytes]) -> None:
        self._write = write

    def __missing__(self, key: K) -> bytes:
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[key] = self._write(key)
        return found


class Writer:
    """Writes lines. `names` gives texts as they may be shown, `hashed` a user's hash."""

    def __init__(self, names: Names, hashed: Hash) -> None:
        self._hashed = hashed
        self._text: _Kept[str] = _Kept(lambda text: _json(names[text]))
        self._who = _Kept(self._written_who)
        self._to = _Kept(self._written_to)
        self._ends = _Kept(self._written_end)
        self._tags = _Kept(self._written_tags)
        self._checks = _Kept(_written_checks)
        self._second, self._time = -1, b""

    def line(self, life: Sequence[Event], at: float, content: Content | None) -> bytes:
        """Of a whole life, with its line break; `at` is when it ended, in Unix seconds."""
        first, last = life[0], life[-1]
        about: About = first.about  # type: ignore[union-attr]
        plan = b"null"
        calls: list[bytes] = []
        others: list[Event] = []
        made: list[UsageRecord | None] = []
        early: list[Judged] = []
        cost = held = 0
        event: Any
        for event in life[1:-1]:
            kind = type(event)
            if kind is Settled:
                call = event.record
                calls.append(self._call(call))
                made.append(call)
                if early:
                    early = [each for each in early if not self._judge(calls, made, each)]
                cost += call.cost
                held += call.held
            elif kind is Judged:
                if not self._judge(calls, made, event):
                    early.append(event)
            elif kind is Planned:
                plan = b'{"rungs":%d,"skipped":%d}' % (event.rungs, event.skipped)
            else:
                others.append(event)
        if content is not None:
            add_answers(calls, life, content)
        user, tags = about.user, about.tags
        end, first_token_s = _end(last)
        second = int(at)
        if second != self._second:
            self._second, self._time = second, _written(second)
        return _LIFE % (
            self._time,
            _MS[int((at - second) * 1000)],
            about.request_id.encode(),
            self._ends[end],
            last.seconds,  # type: ignore[union-attr]
            b"null" if first_token_s is None else b"%.6f" % first_token_s,
            self._who[about.tenant, about.organisation, about.route, about.key, about.stream],
            self._hashed(user.encode()).encode() if user else b"",
            self._tags[tuple(tags.items())] if tags else b"{}",
            plan,
            cost,
            held,
            b"},".join(calls) + b"}" if calls else b"",
            self._rest(others, life, content) if others or content is not None else b"",
        )

    def _call(self, call: UsageRecord) -> bytes:
        """Left open."""
        usage = call.usage
        first = call.first_token_s
        to = (call.model, call.provider, call.tier, call.purpose, call.outcome, call.counted)
        return _CALL % (
            self._to[to],
            call.seconds,
            b"null" if first is None else b"%.6f" % first,
            call.held,
            call.cost,
            usage.prompt,
            usage.completion,
            _details(usage) if usage.cached or usage.cache_write or usage.reasoning else _PLAIN,
        )

    def _judge(self, calls: list[bytes], made: list[UsageRecord | None], judged: Judged) -> bool:
        """Whether the call it is of is there: what flows is judged before it is paid. Of calls at
        once to one model the first is the first that was judged.
        """
        for at, call in enumerate(made):
            if call is not None and call.model == judged.model and call.tier == judged.tier:
                made[at] = None
                calls[at] += self._checks[judged.checks, judged.failed]
                return True
        return False

    def _rest(
        self, others: Sequence[Event], life: Sequence[Event], content: Content | None
    ) -> bytes:
        """What most lives have nothing of."""
        found: dict[str, Any] = {}
        event: Any
        for event in others:
            _OTHERS.get(type(event), _nothing)(found, event)
        if content is not None:
            add_words(found, life, content)
        return b"," + _json(found)[1:-1] if found else b""

    def _written_tags(self, tags: tuple[tuple[str, str], ...]) -> bytes:
        text = self._text
        return b"{%b}" % b",".join([b"%b:%b" % (text[tag], text[value]) for tag, value in tags])

    def _written_who(self, about: tuple[str, str, str, str, bool]) -> bytes:
        tenant, organisation, route, key, stream = about
        text = self._text
        whose = b'"organisation":%b,' % text[organisation] if organisation else b""
        return b'"tenant":%b,%b"route":%b,"key":%b,"stream":%b,' % (
            text[tenant], whose, text[route], text[key], _FLAGS[stream],
        )  # fmt: skip

    def _written_to(self, to: tuple[str, str, str, str, str, bool]) -> bytes:
        *texts, counted = to
        written = [*map(self._text.__getitem__, map(str, texts)), _FLAGS[bool(counted)]]
        return (
            b'"model":%b,"provider":%b,"tier":%b,"purpose":%b,"outcome":%b,"counted":%b,'
            % tuple(written)
        )

    def _written_end(self, end: tuple[str, int, str, str, str, str]) -> bytes:
        """A life that no client sees has status 0, and as its reason what it is for."""
        outcome, status, reason, model, provider, tier = end
        text = self._text
        behind = b"" if status else b'"behind":%b,' % text[reason]
        return b'%b"outcome":%b,"status":%d,"reason":%b,"model":%b,"provider":%b,"tier":%b,' % (
            behind, text[outcome], status, text[reason], text[model], text[provider], text[tier],
        )  # fmt: skip


def _end(event: Any) -> tuple[tuple[str, int, str, str, str, str], float | None]:
    """What a life came to, and when its client got a first token."""
    kind = type(event)
    if kind is Replied:
        end = ("replied", 200, event.reason, event.model, event.provider, event.tier)
        return end, event.first_token_s
    if kind is Denied:
        return ("denied", event.status, event.code, "", "", ""), None
    if kind is AuditEnded:
        return (event.outcome, 0, event.kind, "", "", ""), None
    return ("dropped", _GONE, "client_gone", "", "", ""), None


def _written(second: int) -> bytes:
    """RFC 3339, in UTC, without what comes behind the second."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _details(usage: Usage) -> bytes:
    parts = (usage.cached, usage.cache_write, usage.reasoning)
    return b'"cached":%d,"cache_write":%d,"reasoning":%d}' % parts


def _written_checks(judged: tuple[tuple[str, ...], tuple[str, ...]]) -> bytes:
    return b',"checks":%b,"failed":%b' % tuple(map(_json, judged))


def _nothing(found: dict[str, Any], event: Any) -> None:
    pass


def _refused(found: dict[str, Any], event: HoldRefused) -> None:
    found.setdefault("refused", []).append(f"{event.scope} {event.meter}")


def _escalated(found: dict[str, Any], event: Escalated) -> None:
    step = {"kind": "escalation", "from": event.from_tier, "to": event.to_tier}
    found.setdefault("steps", []).append({**step, "reason": event.reason})


def _fell_back(found: dict[str, Any], event: FellBack) -> None:
    step = {"kind": "fallback", "from": event.from_model, "to": event.to_model}
    found.setdefault("steps", []).append({**step, "reason": event.reason})


def _cache_asked(found: dict[str, Any], event: CacheLookup) -> None:
    found["cache"] = event.outcome


_OTHERS: Final[Mapping[type, Callable[[dict[str, Any], Any], None]]] = {
    HoldRefused: _refused,
    Escalated: _escalated,
    FellBack: _fell_back,
    CacheLookup: _cache_asked,
}
