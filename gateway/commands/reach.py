"""Whether a provider can be reached, and takes our key, for nothing: no call is made that costs."""

import socket
import ssl
from contextlib import closing
from http.client import HTTPException
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.core.errors import Unreachable
from gateway.core.snapshot import Provider
from gateway.stores import connect_provider

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
    """A connection, through its proxy where it has one, with TLS where its URL has that; and its
    list of models, where the key alone signs. Neither a key nor an answer is shown.
    """
    url = urlsplit(provider.base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    place = f"{url.hostname}:{port}{' through its proxy' if provider.proxy else ''}"
    try:
        with closing(connect_provider(provider, timeout_s)) as connection:
            if (path := _listing(provider)) is None:
                return Found("ok", f"{place} can be reached; the key was not tried")
            connection.request("GET", f"{url.path}{path}", headers=_headers(provider))
            return _judge_status(place, connection.getresponse().status, provider)
    except Unreachable as error:
        return Found("fail", f"{place}: {error}", "look at proxy, and at what it lets through")
    except ssl.SSLCertVerificationError as error:
        why = f"{place}: {error.verify_message}"
        return Found("fail", why, "let this machine trust its certificate (SSL_CERT_FILE)")
    except TimeoutError:
        return Found("fail", f"{place}: no answer in {timeout_s:g} s", _LOOK)
    except OSError as error:
        return Found("fail", f"{place}: {error.strerror or type(error).__name__}", _LOOK)
    except HTTPException:
        return Found("fail", f"{place}: what answers there is no HTTP", "correct base_url")


def _judge_status(place: str, status: int, provider: Provider) -> Found:
    if status in _REFUSED:
        return Found("fail", f"{place} refuses the key: {status}", "give it another api_key")
    if status >= 500:
        return Found("warn", f"{place} answers {status}", "look at its status page")
    well = "answers" if provider.api_key is None else "takes the key"
    told = well if status < 300 else f"answers {status} to a list of models"
    return Found("ok", f"{place} {told}")


def _listing(provider: Provider) -> str | None:
    return _LISTINGS.get(provider.dialect) if provider.auth is None else None


_LOOK: Final = "look at base_url, and at what stands between"


def _headers(provider: Provider) -> dict[str, str]:
    if provider.api_key is None:
        return {}
    if provider.dialect == "anthropic":
        return {"x-api-key": provider.api_key, "anthropic-version": "2023-06-01"}
    return {"authorization": f"Bearer {provider.api_key}"}
