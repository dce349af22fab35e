"""The bytes of a POST. Heads are cached: only the content length differs from call to call."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from gateway.core.errors import Unsuitable
from gateway.wire.dialect import HttpCall

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
_PATH: Final = re.compile(r"/[!-~]*")
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
NO_HEADERS: Final[Mapping[str, str]] = {}
Post: TypeAlias = bytes | tuple[bytes | memoryview, ...]
"""A request; a large one in parts."""
_MAX_HEADS: Final = 256
"""Bounds the cache: some headers come from clients (Anthropic's betas)."""


class Origin:
    """Where a base URL points: what is connected to."""

    def __init__(self, base_url: str) -> None:
        url = urlsplit(base_url)
        self.tls = url.scheme == "https"
        self.host = url.hostname or ""
        self.port = url.port or _DEFAULT_PORTS[url.scheme]
        self.path = url.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == _DEFAULT_PORTS[url.scheme]
        self.host_header = host if default else f"{host}:{self.port}"
        """The value of the `host` header."""

    @property
    def key(self) -> tuple[bool, str, int]:
        """Equal for origins that can share connections."""
        return self.tls, self.host, self.port


class PostBuilder:
    """Builds the POSTs to one provider. Raises ValueError for headers that cannot be sent."""

    def __init__(self, origin: Origin, headers: Mapping[str, str]) -> None:
        self._path = origin.path
        self._common_lines = _header_lines({"host": origin.host_header, **headers}.items())
        self._heads: dict[tuple[object, ...], bytes] = {}
        self._last: tuple[str, Mapping[str, str], bytes] = ("", {}, b"")

    def build(self, call: HttpCall, auth_headers: Mapping[str, str] = NO_HEADERS) -> Post:
        """A whole request; `auth_headers` are those of this call alone.

        Raises Unsuitable when the call cannot be written as HTTP.
        """
        path, headers, head = self._last
        # Most calls to a provider share one head: a look-up in `_heads` would cost 0.4 us more.
        if call.headers is not headers or call.path != path:
            head = self._cached_head(call)
            self._last = call.path, call.headers, head
        content = call.content
        lines = _header_lines(auth_headers.items()).encode("latin-1") if auth_headers else b""
        if isinstance(content, bytes):
            return b"%b%d\r\n%b\r\n%b" % (head, len(content), lines, content)
        parts = [memoryview(part) for part in content]
        return b"%b%d\r\n%b\r\n" % (head, sum(map(len, parts)), lines), *parts

    def _cached_head(self, call: HttpCall) -> bytes:
        key = (call.path, *call.headers.items())
        head = self._heads.get(key)
        if head is None:
            try:
                head = self._head(call)
            except ValueError as error:
                raise Unsuitable("what was asked cannot be said in a header") from error
            if len(self._heads) >= _MAX_HEADS:
                self._heads.clear()
            self._heads[key] = head
        return head

    def _head(self, call: HttpCall) -> bytes:
        path = self._path + call.path
        if not is_path(path):
            raise ValueError("no path")
        lines = self._common_lines + _header_lines(call.headers.items())
        return f"POST {path} HTTP/1.1\r\n{lines}content-length: ".encode("latin-1")


def is_path(text: str) -> bool:
    """Whether it can be sent as it is; it may have a query."""
    return _PATH.fullmatch(text) is not None


def _header_lines(headers: Iterable[tuple[str, str]]) -> str:
    """Header lines. Raises ValueError for a name or value that could inject another header."""
    lines = []
    for name, value in headers:
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise ValueError(f"the header {name!r} cannot be sent")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)
