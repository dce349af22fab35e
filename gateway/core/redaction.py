"""What must not be in anything that is written for people or machines beside us: logs, traces.

Two kinds: what looks like a key, whosever it is, and what the configuration says is secret. It is
the last thing that is done to bytes before they leave, so it holds wherever they came from.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec
from msgspec import Struct

from gateway.core.snapshot import Secret, Snapshot

HIDDEN: Final = "[redacted]"
_SHORTEST: Final = 8
"""Characters of a secret worth the name: "none" and "ollama" are words, too."""
_SHORT: Final = 128
_REMEMBERED: Final = 10_000
_START: Final = r"(?:(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2})|(?<![A-Za-z0-9]))"
"""A key begins where no word goes on; in JSON that may be behind an escape, in a URL, too."""
_KEYS: Final = re.compile(
    _START + r"(?:(?:tg|sk|pk|rk|xai|nvapi)-[\w-]{8,}|(?:gsk|hf|sk|r8)_\w{8,}|csk-[\w-]{8,}"
    r"|AIza[\w-]{8,}|A[KS]IA[A-Z0-9]{8,}|(?i:bearer)(?:\s|%20|\\t)+[\w.~+/=-]{8,})",
    re.ASCII,
)
_KEYS_IN_BYTES: Final = re.compile(_KEYS.pattern.encode())
_SIGNS: Final = (b"sk-", b"tg-", b"sk_", b"AIza", b"KIA", b"SIA", b"pk-", b"rk-", b"xai-", b"hf_")
_MORE_SIGNS: Final = (b"nvapi-", b"r8_")
"""Every key but a bearer token, which is looked for apart, has one of these: to look for them costs
a tenth of the pattern.
"""


class Redactor:
    """Hides keys, and these secrets as they are, as JSON writes them and as a URL does.

    `names[text]` is the text redacted: of short ones that come again and again the answer is
    remembered, as looking through a line takes longer than writing it.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.reconfigure(secrets)

    def reconfigure(self, secrets: Iterable[str]) -> None:
        """Hide these from now on, and those from before."""
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        forms = {form for secret in known for form in _forms(secret)}
        self._secrets = sorted({*getattr(self, "_secrets", ()), *forms}, key=len, reverse=True)
        self._texts = [secret.decode() for secret in self._secrets]
        self.names = _Names(self)

    def bytes(self, data: bytes) -> bytes:
        """JSON, or text in UTF-8."""
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, HIDDEN.encode())
        if any(map(data.__contains__, _SIGNS + _MORE_SIGNS)) or b"bearer" in data.lower():
            return _KEYS_IN_BYTES.sub(HIDDEN.encode(), data)
        return data

    def text(self, text: str) -> str:
        for secret in self._texts:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        return _KEYS.sub(HIDDEN, text)


class _Names(dict[str, str]):
    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __missing__(self, text: str) -> str:
        found = self._redactor.text(text)
        if len(text) <= _SHORT and len(self) < _REMEMBERED:
            self[text] = found
        return found


def without_keys(text: str) -> str:
    """The text without what looks like a key."""
    return _KEYS.sub(HIDDEN, text)


def keyless(name: str) -> str:
    """A name (of a user, a tag) as it may be recorded: itself, or a hash of it where something in
    it looks like a key.
    """
    if _KEYS.search(name) is None:
        return name
    return f"hidden:{sha256(name.encode()).hexdigest()[:32]}"


def secrets_of(snapshot: Snapshot) -> frozenset[str]:
    """All texts that are secret, and the passwords of URLs; but no name that everybody is told."""
    found = {part for secret in _walk(snapshot) for part in _parts(secret)}
    catalog = snapshot.catalog
    named = {*snapshot.providers, *catalog.models, *catalog.tiers, *catalog.routes}
    return frozenset(found - named - {*snapshot.tenants})


def _walk(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _walk(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _walk(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _walk(each)


def _parts(secret: Secret) -> Iterator[str]:
    """Of a URL its password, and its path and query, where a webhook has its secret."""
    text = str(secret)
    scheme, there, _ = text.partition("://")
    if not there:
        if not text.startswith(("jsonl:", "parquet:")) and text not in ("embedded", "memory"):
            yield text
        return
    try:
        url = urlsplit(text)
    except ValueError:
        yield text
        return
    if url.password:
        yield url.password
        yield unquote(url.password)
    if scheme.startswith("http"):
        yield text
        yield from (part for part in re.split(r"[/?&=]", f"{url.path}?{url.query}") if part)


def _forms(secret: str) -> Iterator[bytes]:
    yield secret.encode()
    yield msgspec.json.encode(secret)[1:-1]
    yield quote(secret, safe="").encode()
    yield quote(secret).encode()
