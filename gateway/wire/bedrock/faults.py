"""What a failed call means, from the exception's name, the status, or the words of the message.

The names are in the API reference of Bedrock Runtime; an exception in a stream has only a name.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    Unsuitable,
    UpstreamError,
)

MAX_MESSAGE: Final = 500
"""Characters of a provider's message that are kept."""

_BY_NAME: Final[Mapping[str, type[UpstreamError]]] = {
    "accessdenied": Misconfigured,
    "conflict": Rejected,
    "expiredtoken": Misconfigured,
    "incompletesignature": Misconfigured,
    "internalfailure": Faulty,
    "internalserver": Faulty,
    "invalidclienttokenid": Misconfigured,
    "invalidsignature": Misconfigured,
    "missingauthenticationtoken": Misconfigured,
    "modelerror": Faulty,
    "modelnotready": Overloaded,
    "modelstreamerror": Faulty,
    "modeltimeout": Faulty,
    "notauthorized": Misconfigured,
    "optinrequired": Misconfigured,
    "resourcenotfound": Misconfigured,
    "servicequotaexceeded": Throttled,
    "serviceunavailable": Overloaded,
    "throttling": Throttled,
    "toomanyrequests": Throttled,
    "unknownoperation": Misconfigured,
    "unrecognizedclient": Misconfigured,
    "validation": Rejected,
}
"""By the name without its ending, in lower case: streams write `throttlingException`."""
_BY_STATUS: Final[Mapping[int, type[UpstreamError]]] = {
    401: Misconfigured,
    402: Misconfigured,
    403: Misconfigured,
    404: Misconfigured,
    408: Faulty,
    424: Faulty,
    429: Throttled,
    503: Overloaded,
    529: Overloaded,
}
_HUNDREDS: Final[Mapping[int, type[UpstreamError]]] = {3: Misconfigured, 4: Rejected, 5: Faulty}
"""A redirect is a wrong base URL."""
_BY_MESSAGE: Final[tuple[tuple[str, type[UpstreamError]], ...]] = (
    ("model identifier is invalid", Misconfigured),
    ("on-demand throughput", Misconfigured),
    ("invocation of model id", Misconfigured),
    ("end of its life", Misconfigured),
    ("is too long", Unsuitable),
    ("too many tokens", Unsuitable),
    ("too many input tokens", Unsuitable),
    ("maximum tokens", Unsuitable),
    ("context limit", Unsuitable),
    ("context length", Unsuitable),
    ("context window", Unsuitable),
    ("content filter", Unsuitable),
    ("this model", Unsuitable),
    ("the model that you are using", Unsuitable),
    ("malformed input request", Unsuitable),
    ("not supported", Unsuitable),
    ("not support", Unsuitable),
)
"""A ValidationException says most things only in its text: our setting, or only this model."""

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """JSON as a value of `shape`. Raises Broken, and nothing else, on any bytes."""
    try:
        # Raw parts are not checked for UTF-8 when they are skipped, so the whole is, here.
        return msgspec.json.decode(data.decode(), type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Broken("the provider's answer is not in Bedrock's format") from None


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error that an answer with another status than 200 stands for."""
    said = _object(body)
    name = headers.get("x-amzn-errortype", "") or _string(said, "__type")
    if not name and isinstance(said.get("Output"), dict):
        name = _string(said["Output"], "__type")
    return _error(
        name,
        _message(said) or f"the provider answered with HTTP status {status}",
        status=status,
        retry_after=_retry_after(headers),
    )


def stream_fault(name: str, payload: bytes, message: str = "") -> UpstreamError:
    """The error that an exception in a stream stands for."""
    said = _object(payload)
    message = message or _message(said) or _string(said, "originalMessage")
    return _error(name, message or "the provider broke off its answer")


def foreign_fault(body: bytes) -> UpstreamError:
    """The error that a body with status 200 stands for that should have been an event stream."""
    said = _object(body)
    message = _message(said) or "the provider's stream is not an event stream"
    return _error(_string(said, "__type"), message)


def _error(
    name: str, message: str, *, status: int = 0, retry_after: float | None = None
) -> UpstreamError:
    name = _bare(name)
    found = _class(name, status, message)
    return found(message[:MAX_MESSAGE], retry_after=retry_after, upstream_code=name or None)


def _class(name: str, status: int, message: str) -> type[UpstreamError]:
    """The name decides where it is known, else the status, else the status's hundreds."""
    known = name.lower().removesuffix("error").removesuffix("exception")
    found = _BY_NAME.get(known) or _BY_NAME.get(name.lower().removesuffix("exception"))
    found = found or _BY_STATUS.get(status) or _HUNDREDS.get(status // 100)
    if found is None:
        return Faulty if name else Broken
    if found is Rejected:
        text = message.lower()
        return next((better for mark, better in _BY_MESSAGE if mark in text), found)
    return found


def _bare(name: str) -> str:
    """`com.amazon.bedrock#ValidationException:http://...` is a ValidationException."""
    return name.partition(":")[0].rpartition("#")[2].strip()[:MAX_MESSAGE]


def _object(body: bytes) -> dict[str, Any]:
    try:
        return read(body, dict[str, Any])
    except Broken:
        return {}


def _message(said: Mapping[str, Any]) -> str:
    return _string(said, "message") or _string(said, "Message")


def _string(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after`; None when it is absent, a date, or not a sane number."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
