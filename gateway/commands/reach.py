"""Whether a provider can be reached and accepts our key, without a call that costs money."""

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
"""Where a dialect lists its models, which is free at every shipped provider."""


class ProbeResult(Struct, frozen=True):
    state: Literal["ok", "warn", "fail"]
    text: str
    do: str = ""


def listen_fault(host: str, port: int) -> OSError | None:
    """Why we could not listen there, None where we could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def reach(provider: Provider, timeout_s: float = _TIMEOUT_S) -> ProbeResult:
    """Connect, through its proxy and with TLS as configured; then list its models, where a key is
    all that it takes. Neither the key nor the answer is shown.
    """
    url = urlsplit(provider.base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    address = f"{url.hostname}:{port}{' through its proxy' if provider.proxy else ''}"
    try:
        with closing(connect_provider(provider, timeout_s)) as connection:
            if (path := _models_path(provider)) is None:
                return ProbeResult("ok", f"{address} can be reached; the key was not tried")
            connection.request("GET", f"{url.path}{path}", headers=_headers(provider))
            return _judge_status(address, connection.getresponse().status, provider)
    except Unreachable as error:
        return ProbeResult(
            "fail", f"{address}: {error}", "look at proxy, and at what it lets through"
        )
    except ssl.SSLCertVerificationError as error:
        why = f"{address}: {error.verify_message}"
        return ProbeResult("fail", why, "let this machine trust its certificate (SSL_CERT_FILE)")
    except TimeoutError:
        return ProbeResult("fail", f"{address}: no answer in {timeout_s:g} s", _HINT)
    except OSError as error:
        return ProbeResult("fail", f"{address}: {error.strerror or type(error).__name__}", _HINT)
    except HTTPException:
        return ProbeResult("fail", f"{address}: what answers there is no HTTP", "correct base_url")


def _judge_status(address: str, status: int, provider: Provider) -> ProbeResult:
    if status in _REFUSED:
        return ProbeResult(
            "fail", f"{address} refuses the key: {status}", "give it another api_key"
        )
    if status >= 500:
        return ProbeResult("warn", f"{address} answers {status}", "look at its status page")
    well = "answers" if provider.api_key is None else "takes the key"
    outcome = well if status < 300 else f"answers {status} to a list of models"
    return ProbeResult("ok", f"{address} {outcome}")


def _models_path(provider: Provider) -> str | None:
    return _LISTINGS.get(provider.dialect) if provider.auth is None else None


_HINT: Final = "look at base_url, and at what stands between"


def _headers(provider: Provider) -> dict[str, str]:
    if provider.api_key is None:
        return {}
    if provider.dialect == "anthropic":
        return {"x-api-key": provider.api_key, "anthropic-version": "2023-06-01"}
    return {"authorization": f"Bearer {provider.api_key}"}
