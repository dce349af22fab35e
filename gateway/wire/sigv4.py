"""AWS Signature Version 4, in headers. Pure: the time and the credentials are passed in.

Signing keys (valid for a day) and encoded paths are cached: they are a third of the work.

Source: AWS, "Create a signed AWS API request"; tested with AWS's own test suite. Presigned URLs,
chunked signing and S3's single encoding of the path are not supported.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNSIGNED_HEADERS: Final = frozenset({
    "authorization", "connection", "expect", "te", "transfer-encoding", "upgrade", "user-agent",
    "x-amzn-trace-id",
})  # fmt: skip
"""Headers that proxies may change."""
_DEFAULT_PORTS: Final[Mapping[str, str]] = {"http": ":80", "https": ":443"}
"""Left out of the `host` header."""


class Credentials(Struct, frozen=True):
    """AWS credentials; temporary ones have a session token. The repr shows only the key id."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id!r}, ...)"


class Scope(Struct, frozen=True):
    """The region and service that a signature is valid for."""

    region: str
    service: str = "bedrock"
    normalize: bool = True
    """Whether the service resolves `.`, `..` and `//` in paths: all but S3 do."""


class Signing(Struct, frozen=True):
    """A signature with the intermediate strings it is computed from."""

    canonical_request: str
    string_to_sign: str
    signed_headers: str
    signature: str


def sign(
    credentials: Credentials,
    scope: Scope,
    now: float,
    *,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    method: str = "POST",
) -> Mapping[str, str]:
    """The headers to add: authorization, x-amz-date and, with a token, x-amz-security-token.

    `now` is in Unix seconds. `url` is absolute and exactly as it will be sent: an already
    percent-encoded path is encoded once more, for signing only. `headers` are signed, so send
    them unchanged; `host` is taken from the URL unless it is among them.
    """
    added = {"x-amz-date": _timestamp(now)}
    if credentials.session_token is not None:
        added["x-amz-security-token"] = credentials.session_token
    signed = signing(
        credentials, scope, now, url=url, headers={**headers, **added}, body=body, method=method
    )
    credential = f"{credentials.access_key_id}/{_credential_scope(scope, added['x-amz-date'])}"
    added["authorization"] = (
        f"{_ALGORITHM} Credential={credential}, SignedHeaders={signed.signed_headers}, "
        f"Signature={signed.signature}"
    )
    return added


def signing(
    credentials: Credentials,
    scope: Scope,
    now: float,
    *,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    method: str = "POST",
) -> Signing:
    """Signs exactly these headers."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    canonical_headers = {"host": host.removesuffix(_DEFAULT_PORTS.get(parts.scheme, ""))}
    canonical_headers |= {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    signed = sorted(canonical_headers.keys() - _UNSIGNED_HEADERS)
    signed_headers = ";".join(signed)
    canonical = "\n".join((
        method,
        _canonical_path(parts.path, normalize=scope.normalize),
        _canonical_query(parts.query),
        *(f"{name}:{canonical_headers[name]}" for name in signed),
        "",
        signed_headers,
        hashlib.sha256(body).hexdigest(),
    ))  # fmt: skip
    stamp = _timestamp(now)
    text = "\n".join((
        _ALGORITHM,
        stamp,
        _credential_scope(scope, stamp),
        hashlib.sha256(canonical.encode()).hexdigest(),
    ))  # fmt: skip
    key = _signing_key(credentials.secret_access_key, scope, stamp[:8])
    return Signing(canonical, text, signed_headers, _hmac_sha256(key, text).hex())


def _timestamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def _credential_scope(scope: Scope, stamp: str) -> str:
    return f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"


@lru_cache(maxsize=64)
def _signing_key(secret: str, scope: Scope, day: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = _hmac_sha256(key, part)
    return key


def _hmac_sha256(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


@lru_cache(maxsize=512)
def _canonical_path(path: str, *, normalize: bool) -> str:
    if normalize:
        segments: list[str] = []
        for part in path.split("/"):
            if part == "..":
                del segments[-1:]
            elif part not in {"", "."}:
                segments.append(part)
        ending = "/" if segments and path.endswith(("/", "/.", "/..")) else ""
        path = f"/{'/'.join(segments)}{ending}"
    return quote(path or "/", safe="/~")


def _canonical_query(query: str) -> str:
    pairs = (part.partition("=") for part in query.split("&") if part)
    encoded = ((_percent_encode(name), _percent_encode(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _percent_encode(text: str) -> str:
    return quote(unquote(text), safe="~")
