"""Request headers are read here, response headers written."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import ceil
from typing import Final

from gateway.core.accounts import Warned
from gateway.core.catalog import Deprecation
from gateway.core.errors import (
    GatewayError,
    HeadersTooLarge,
    RateLimited,
    RequestTimeout,
    Unauthenticated,
    Unavailable,
)
from gateway.core.money import usd
from gateway.core.response_cache import CacheControl, parse_cache_control
from gateway.core.snapshot import Limits
from gateway.core.tab import Tab
from gateway.handle import Life, Reply
from gateway.web.client import Lines, Pairs, lines_of
from gateway.web.session import Headers

MAX_HEADERS: Final = 32_000
"""Bytes of all header names and values together."""
CLOSE: Final = (b"connection", b"close")
_EXTRA: Final = b"x-gateway-"
_ORDINARY: Final = frozenset(
    b"host accept accept-encoding authorization connection content-length content-type user-agent "
    b"x-stainless-arch x-stainless-async x-stainless-lang x-stainless-os "
    b"x-stainless-package-version x-stainless-read-timeout x-stainless-retry-count "
    b"x-stainless-runtime x-stainless-runtime-version".split()
)
"""Sent by OpenAI's SDKs: none of these is ours."""
_DIGITS: Final = 15
"""Of a content-length: one with more is too large in any case."""
_PLAIN: Final = re.compile(r"[\w.\[\]-]{1,64}", re.ASCII)
_NAMED: Final = 32
_NONE: Final[Mapping[str, str]] = {}
_MOST: Final = 1_000
_LONG: Final = 1_000
_ways: Final[dict[tuple[str, str, str, int, int, str], str]] = {}
"""Header lines that say who answered and why, by what they say."""


def check_size(pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Raises HeadersTooLarge."""
    if sum(map(len, chain.from_iterable(pairs))) > MAX_HEADERS:
        raise HeadersTooLarge(f"The headers are larger than {MAX_HEADERS} bytes.")


def read_headers(pairs: Sequence[tuple[bytes, bytes]], limits: Limits) -> Headers:
    """What we use of the headers; names are in lower case. Some parsers leave white space at the
    end of a value.
    """
    check_size(pairs)
    named = dict(pairs)
    length = named.get(b"content-length", b"0").rstrip()
    if not length.isdigit() or len(length) > _DIGITS:
        length = b"%d" % (limits.body_bytes + 1)
    extras = [name for name in named.keys() - _ORDINARY if name[:10] == _EXTRA]
    return Headers(
        named.get(b"authorization", b""),
        int(length),
        named.get(b"content-encoding", b"identity").rstrip().lower() != b"identity",
        _extras(pairs) if extras else _NONE,
    )


def _extras(pairs: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """Repeated headers are joined to a list, as any proxy may do."""
    lines: dict[str, list[str]] = {}
    for name, value in pairs:
        if name[:10] == _EXTRA:
            extra = name[len(_EXTRA) :].decode("latin-1")
            lines.setdefault(extra, []).append(value.decode("utf-8", "replace"))
    return {extra: ", ".join(values) for extra, values in lines.items()}


def read_cache_control(pairs: Iterable[tuple[bytes, bytes]]) -> CacheControl:
    """The client's wishes about cached answers; read only for routes with a cache."""
    return parse_cache_control(value for name, value in pairs if name == b"cache-control")


def reply_headers(life: Life, reply: Reply, spent: str | None) -> Lines:
    """Which model answered, why it did, and what that cost: `spent` as `usd` writes it, None while
    the answer flows. Raises ValueError for a value that cannot be a header.
    """
    candidate, tab = reply.candidate, life.tab
    model = candidate.model
    attempts = len(tab.attempts)
    if spent is None:
        attempts += 1  # the one that flows
    way = (
        model.name,
        candidate.deployment.provider,
        candidate.tier,
        attempts,
        tab.escalations,
        reply.reason,
    )
    line = _ways.get(way) or _way(*way)
    cost = "" if spent is None else f"x-gateway-cost-usd: {spent}\r\n"
    gone, left = model.card.deprecated, tab.budget_left
    more = rest = ""
    if gone is not None or reply.dropped or reply.headers or tab.warned:
        more = lines_of(_more(gone, reply, tab)).decode()
    if left is not None:
        rest = f"x-gateway-budget-remaining-usd: {usd(left) if left > 0 else 0}\r\n"
    return f"x-request-id: {life.about.request_id}\r\n{line}{cost}{more}{rest}".encode()


def _way(model: str, provider: str, tier: str, attempts: int, escalations: int, reason: str) -> str:
    """Cached: nearly all answers of a model come about in one of a few ways."""
    lines = lines_of(
        [
            (b"x-gateway-model", model.encode()),
            (b"x-gateway-provider", provider.encode()),
            (b"x-gateway-tier", tier.encode()),
            (b"x-gateway-attempts", b"%d" % attempts),
            (b"x-gateway-escalations", b"%d" % escalations),
            (b"x-gateway-reason", reason.encode()),
        ]
    ).decode()
    if len(lines) <= _LONG:
        if len(_ways) >= _MOST:
            _ways.clear()
        _ways[model, provider, tier, attempts, escalations, reason] = lines
    return lines


def _more(gone: Deprecation | None, reply: Reply, tab: Tab) -> Pairs:
    """Headers that few answers have."""
    headers: Pairs = []
    if gone is not None:
        headers.append((b"x-gateway-deprecated", b"use " + gone.use_instead.encode()))
    if reply.dropped:
        headers.append((b"x-gateway-dropped", _names(reply.dropped)))
    headers += reply.headers
    if tab.warned:
        headers.append((b"x-gateway-budget-warning", _warnings(tab.warned)))
    return headers


def _warnings(warned: Sequence[Warned]) -> bytes:
    """Such as "80% tenant usd/day": scopes and meters, but no names."""
    warnings = {
        f"{w.percent}% {w.account.scope} {w.budget.meter}/{w.budget.per}": 0 for w in warned
    }
    return ", ".join(warnings).encode()


def _names(fields: tuple[str, ...]) -> bytes:
    """Field names, for a header. The client chose them: unusual ones are only counted."""
    plain = [name for name in fields if _PLAIN.fullmatch(name)][:_NAMED]
    rest = len(fields) - len(plain)
    return ", ".join([*plain, f"{rest} more"] if rest else plain).encode()


def error_headers(error: GatewayError, request_id: str, life: Life | None) -> Pairs:
    """Whether to try again, and what was spent on the way to this error."""
    headers = [(b"x-request-id", request_id.encode())]
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    if isinstance(error, RequestTimeout):
        headers.append(CLOSE)
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, RateLimited):
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after)))
        headers.append((b"retry-after-ms", b"%d" % ceil(error.retry_after * 1000)))
    if isinstance(error, Unavailable):
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if life is not None:
        headers.append((b"x-gateway-attempts", b"%d" % len(life.tab.attempts)))
        headers.append((b"x-gateway-cost-usd", usd(life.tab.spent).encode()))
    return headers
