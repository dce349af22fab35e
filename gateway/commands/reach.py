"""Whether a provider can be reached, and takes our key, for nothing: no call is made that costs."""

import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.core.snapshot import Provider

_TIMEOUT_S: Final = 5.0
_REFUSED: Final = frozenset((401, 403))
_LISTINGS: Final = {"openai": "/models", "anthropic": "/v1/models"}
"""Where a dialect lists its models. Listing them is free at every provider that comes ready."""


class Found(Struct, frozen=True):
    state: Literal["ok", "warn", "fail"]
    text: str
    do: str = ""


def is_free(host: str, port: int) -> bool:
    """Whether we could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError:
            return False
    return True


def reach(provider: Provider, timeout_s: float = _TIMEOUT_S) -> Found:
    """A connection, with TLS where its URL has that; and its list of models, where the key alone
    signs. Neither a key nor an answer is shown.
    """
    url = urlsplit(provider.base_url)
    secure, host = url.scheme == "https", url.hostname or ""
    port = url.port or (443 if secure else 80)
    path = _LISTINGS.get(provider.dialect) if provider.auth is None else None
    kind = HTTPSConnection if secure else HTTPConnection
    connection = kind(host, port, timeout=timeout_s)
    try:
        connection.connect()
        if path is None:
            return Found("ok", f"{host}:{port} can be reached; the key was not tried")
        connection.request("GET", f"{url.path}{path}", headers=_headers(provider))
        status = connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        why = f"{host}:{port}: {error.verify_message}"
        return Found("fail", why, "let this machine trust its certificate (SSL_CERT_FILE)")
    except TimeoutError:
        return Found("fail", f"{host}:{port}: no answer in {timeout_s:g} s", _LOOK)
    except OSError as error:
        return Found("fail", f"{host}:{port}: {error.strerror or type(error).__name__}", _LOOK)
    except HTTPException:
        return Found("fail", f"{host}:{port}: what answers there is no HTTP", "correct base_url")
    finally:
        connection.close()
    if status in _REFUSED:
        return Found("fail", f"{host}:{port} refuses the key: {status}", "give it another api_key")
    if status >= 500:
        return Found("warn", f"{host}:{port} answers {status}", "look at its status page")
    well = "answers" if provider.api_key is None else "takes the key"
    told = well if status < 300 else f"answers {status} to a list of models"
    return Found("ok", f"{host}:{port} {told}")


_LOOK: Final = "look at base_url, and at what stands between"


def _headers(provider: Provider) -> dict[str, str]:
    if provider.api_key is None:
        return {}
    if provider.dialect == "anthropic":
        return {"x-api-key": provider.api_key, "anthropic-version": "2023-06-01"}
    return {"authorization": f"Bearer {provider.api_key}"}
