"""Access tokens of Google, where Google's own tools look for them, in their order.

    the file that the configuration names
    GOOGLE_APPLICATION_CREDENTIALS
    what `gcloud auth application-default login` left
    the role of the machine: the metadata server of Compute Engine, GKE and Cloud Run

Files are read by google-auth, an optional package; the metadata server needs none. Not here: files
of impersonated accounts, and workload identities whose subject comes from AWS or a program.
"""

import importlib
import json
import re
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.core.errors import Misconfigured
from gateway.core.packages import how_to_install
from gateway.core.snapshot import GoogleAuth, Secret
from gateway.drivers.upstream.http_tunnel import Proxy
from gateway.drivers.upstream.renewed import Issued
from gateway.drivers.upstream.short_http import Answer, send_request

_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "external_account": ("google.auth.identity_pool", "from_info"),
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
}
"""By a file's `type`: the module whose Credentials reads it, and the constructor's name."""
_GCLOUD_DEFAULT: Final = "application_default_credentials.json"
_METADATA: Final = "metadata.google.internal"
_TOKEN: Final = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105
_TIMEOUT_S: Final = 10.0
_METADATA_TIMEOUT_S: Final = 2.0
"""The metadata server is on the machine itself, or is not there."""
_LOOK_AGAIN_S: Final = 300.0
"""For a token without an expiry."""
_PRINTABLE: Final = re.compile(r"[!-~]+")


class _TokenResponse(Struct):
    access_token: str
    expires_in: float


def fetch(
    auth: GoogleAuth, env: Mapping[str, str], now: float, proxy: Proxy | None = None
) -> Issued[Secret]:
    """A new token; the file is read again each time. `proxy` is the provider's: it is used for
    https requests, never for the machine's own metadata. Blocks. Raises Misconfigured.
    """
    path = _credentials_file(auth, env)
    issued = _machine_token(auth, env, now) if path is None else _file_token(path, auth, proxy)
    if not _PRINTABLE.fullmatch(issued.value):
        raise Misconfigured("the token that Google gave is none")
    return issued


def _credentials_file(auth: GoogleAuth, env: Mapping[str, str]) -> Path | None:
    named = auth.credentials or env.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    folder = env.get("CLOUDSDK_CONFIG")
    home = env.get("HOME")
    if not folder and home:
        folder = f"{home}/.config/gcloud"
    default_file = Path(folder) / _GCLOUD_DEFAULT if folder else None
    return default_file if default_file is not None and default_file.is_file() else None


def _file_token(path: Path, auth: GoogleAuth, proxy: Proxy | None) -> Issued[Secret]:
    try:
        info = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):  # their texts quote the file, or name it
        raise Misconfigured("the file of Google credentials cannot be read") from None
    kind = info.get("type") if isinstance(info, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise Misconfigured(f"the file of Google credentials is of no known type ({known})")
    module, factory = _KINDS[kind]
    try:
        module_object: Any = importlib.import_module(module)
        errors: Any = importlib.import_module("google.auth.exceptions")
    except ImportError:
        message = f"google-auth is not installed: {how_to_install('google')}"
        raise Misconfigured(message) from None
    try:
        credentials = getattr(module_object.Credentials, factory)(info, scopes=list(auth.scopes))
        credentials.refresh(_Transport(errors.TransportError, proxy))
    except (errors.GoogleAuthError, ValueError, TypeError, KeyError, AttributeError) as error:
        # Its text may hold the endpoint's answer; its name is enough to look it up by.
        name = type(error).__name__
        raise Misconfigured(f"Google gave no token for the credentials: {name}") from None
    if not isinstance(credentials.token, str):
        raise Misconfigured("Google gave no token for the credentials")
    token = Secret(credentials.token)
    if credentials.expiry is None:
        return Issued(token, look_again_s=_LOOK_AGAIN_S)
    return Issued(token, credentials.expiry.replace(tzinfo=UTC).timestamp())


class _Transport:
    """The transport that google-auth calls: its own would need `requests`."""

    def __init__(self, transport_error: type[Exception], proxy: Proxy | None) -> None:
        self._transport_error = transport_error
        self._proxy = proxy

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> "_TransportResponse":
        data = body.encode() if isinstance(body, str) else body
        wait_s = timeout or _TIMEOUT_S
        proxy = self._proxy if url.startswith("https:") else None
        try:
            answer = send_request(
                url,
                method=method,
                headers=headers or {},
                body=data,
                timeout_s=wait_s,
                proxy=proxy,
            )
            return _TransportResponse(answer)
        except OSError as error:
            raise self._transport_error("no answer") from error


class _TransportResponse:
    """An answer as google-auth reads it."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.data = answer.body


def _machine_token(auth: GoogleAuth, env: Mapping[str, str], now: float) -> Issued[Secret]:
    host = env.get("GCE_METADATA_HOST") or _METADATA
    url = f"http://{host}{_TOKEN}?scopes={','.join(auth.scopes)}"
    try:
        answer = send_request(
            url, headers={"metadata-flavor": "Google"}, timeout_s=_METADATA_TIMEOUT_S
        )
    except OSError:
        message = "no Google credentials: no file is named, and the machine has no role"
        raise Misconfigured(message) from None
    if answer.status != 200:
        raise Misconfigured(f"the machine's Google role answered with status {answer.status}")
    try:
        token = msgspec.json.decode(answer.body, type=_TokenResponse)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Misconfigured("the machine's Google token cannot be read") from None
    return Issued(Secret(token.access_token), now + token.expires_in)
