"""Access tokens of Google, where Google's own tools look for them, in their order.

    the file that the configuration names
    GOOGLE_APPLICATION_CREDENTIALS
    what `gcloud auth application-default login` left
    the role of the machine: the metadata server of Compute Engine, GKE and Cloud Run

Files are read by google-auth, an optional part (`tollgate[google]`); the metadata server needs
none. Not here: files of impersonated accounts, and workload identities whose subject comes from
AWS or a program.
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
from gateway.core.snapshot import GoogleAuth, Secret
from gateway.drivers.upstream.http_tunnel import Proxy
from gateway.drivers.upstream.renewed import Issued
from gateway.drivers.upstream.short_http import Answer, ask

_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "external_account": ("google.auth.identity_pool", "from_info"),
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
}
"""What a file's `type` is read by: a module's Credentials, and how they are made."""
_LEFT_BY_GCLOUD: Final = "application_default_credentials.json"
_METADATA: Final = "metadata.google.internal"
_TOKEN: Final = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105
_TIMEOUT_S: Final = 10.0
_NEAR_S: Final = 2.0
"""The metadata server is on the machine itself, or is not there."""
_LOOK_AGAIN_S: Final = 300.0
"""For a token that does not say when it ends."""
_PRINTABLE: Final = re.compile(r"[!-~]+")


class _Told(Struct):
    access_token: str
    expires_in: float


def fetch(
    auth: GoogleAuth, env: Mapping[str, str], now: float, proxy: Proxy | None = None
) -> Issued[Secret]:
    """A new token; the file is read anew each time. `proxy` is the provider's: what is asked by
    TLS is beyond it, too, and a machine's own metadata never. Blocks. Raises Misconfigured.
    """
    path = _file(auth, env)
    issued = _of_machine(auth, env, now) if path is None else _of_file(path, auth, proxy)
    if not _PRINTABLE.fullmatch(issued.value):
        raise Misconfigured("the token that Google gave is none")
    return issued


def _file(auth: GoogleAuth, env: Mapping[str, str]) -> Path | None:
    named = auth.credentials or env.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    folder = env.get("CLOUDSDK_CONFIG")
    home = env.get("HOME")
    if not folder and home:
        folder = f"{home}/.config/gcloud"
    left = Path(folder) / _LEFT_BY_GCLOUD if folder else None
    return left if left is not None and left.is_file() else None


def _of_file(path: Path, auth: GoogleAuth, proxy: Proxy | None) -> Issued[Secret]:
    try:
        info = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):  # their texts quote the file, or name it
        raise Misconfigured("the file of Google credentials cannot be read") from None
    kind = info.get("type") if isinstance(info, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise Misconfigured(f"the file of Google credentials is of no known type ({known})")
    module, maker = _KINDS[kind]
    try:
        made: Any = importlib.import_module(module)
        errors: Any = importlib.import_module("google.auth.exceptions")
    except ImportError:
        message = "google-auth is not installed: pip install 'tollgate[google]'"
        raise Misconfigured(message) from None
    try:
        credentials = getattr(made.Credentials, maker)(info, scopes=list(auth.scopes))
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
    """HTTP as google-auth calls it: its own ways of making calls would need `requests`."""

    def __init__(self, failed: type[Exception], proxy: Proxy | None) -> None:
        self._failed = failed
        self._proxy = proxy

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> "_Answered":
        sent = body.encode() if isinstance(body, str) else body
        wait_s = timeout or _TIMEOUT_S
        proxy = self._proxy if url.startswith("https:") else None
        try:
            answer = ask(
                url,
                method=method,
                headers=headers or {},
                body=sent,
                timeout_s=wait_s,
                proxy=proxy,
            )
            return _Answered(answer)
        except OSError as error:
            raise self._failed("no answer") from error


class _Answered:
    """An answer as google-auth reads it."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.data = answer.body


def _of_machine(auth: GoogleAuth, env: Mapping[str, str], now: float) -> Issued[Secret]:
    host = env.get("GCE_METADATA_HOST") or _METADATA
    url = f"http://{host}{_TOKEN}?scopes={','.join(auth.scopes)}"
    try:
        answer = ask(url, headers={"metadata-flavor": "Google"}, timeout_s=_NEAR_S)
    except OSError:
        message = "no Google credentials: no file is named, and the machine has no role"
        raise Misconfigured(message) from None
    if answer.status != 200:
        raise Misconfigured(f"the machine's Google role answered with status {answer.status}")
    try:
        told = msgspec.json.decode(answer.body, type=_Told)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Misconfigured("the machine's Google token cannot be read") from None
    return Issued(Secret(told.access_token), now + told.expires_in)
