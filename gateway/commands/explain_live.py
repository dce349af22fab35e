"""Ask a running gateway: only it knows the state of its guards, circuits and prompt caches."""

from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

KEY: Final = "TOLLGATE_KEY"
"""The variable with a tenant's key; without it requests are anonymous."""
_PATH: Final = "/v1/route/explain"
_PATIENCE_S: Final = 30.0


class ExplainFailed(Exception):
    """The gateway cannot be reached, or refuses. The message says why, without the key."""


def explain_live(url: str, key: str | None, body: bytes) -> dict[str, Any]:
    """The plan of a request's JSON, as that gateway would make it now. Raises ExplainFailed."""
    return _request(url, key, "POST", _PATH, body)


def analyze_live(url: str, key: str | None, request_id: str) -> dict[str, Any]:
    """What became of a request of the key's tenant. Raises ExplainFailed."""
    return _request(url, key, "GET", f"{_PATH}/{quote(request_id, safe='')}", None)


def _request(
    url: str, key: str | None, method: str, path: str, body: bytes | None
) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    # The base_url of an SDK, which ends in /v1, works, too.
    base = url.rstrip("/").removesuffix("/v1")
    try:
        answer = httpx.request(
            method,
            base + path,
            content=body,
            headers=headers,
            timeout=_PATIENCE_S,
            trust_env=False,
        )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
        raise ExplainFailed(f"{url}: {error or type(error).__name__}") from None
    try:
        report = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        raise ExplainFailed(f"{url}: answers {answer.status_code}, and no gateway's JSON") from None
    if answer.status_code != httpx.codes.OK:
        fault = report.get("error")
        why = fault.get("message") if isinstance(fault, dict) else None
        unknown = answer.status_code == httpx.codes.UNAUTHORIZED
        hint = f" (the key is read from {KEY})" if unknown else ""
        raise ExplainFailed(f"{url}: {why or answer.status_code}{hint}")
    return report
