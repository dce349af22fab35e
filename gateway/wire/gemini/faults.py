"""Maps failed calls to errors: google.rpc.Status in JSON, over HTTP or inside a stream.

Sources: Google's page on troubleshooting the Gemini API, google/rpc/code.proto and
error_details.proto, and the recorded failures.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    TimedOut,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import faults
from gateway.wire.faults import Kind, kind_by_message, shorten

_BY_STATUS: Final[Mapping[int, Kind]] = {**faults.BY_STATUS, 408: TimedOut, 499: Faulty}
"""499 is Google's CANCELLED."""
_BY_CODE: Final[Mapping[str, Kind]] = {
    "ABORTED": Faulty,
    "CANCELLED": Faulty,
    "DATA_LOSS": Faulty,
    "DEADLINE_EXCEEDED": Faulty,
    "FAILED_PRECONDITION": Misconfigured,
    "INTERNAL": Faulty,
    "INVALID_ARGUMENT": Rejected,
    "NOT_FOUND": Misconfigured,
    "OUT_OF_RANGE": Rejected,
    "PERMISSION_DENIED": Misconfigured,
    "RESOURCE_EXHAUSTED": Throttled,
    "UNAUTHENTICATED": Misconfigured,
    "UNAVAILABLE": Overloaded,
    "UNIMPLEMENTED": Faulty,
    "UNKNOWN": Faulty,
}
"""FAILED_PRECONDITION: the location or billing account may not use the API."""
_HUNDREDS: Final[Mapping[int, Kind]] = {
    3: Misconfigured, 4: Rejected, 5: Faulty,
}  # fmt: skip
"""By hundreds of the status. A redirect means a wrong base URL."""
_BY_MESSAGE: Final[tuple[tuple[str, Kind], ...]] = (
    ("api key not valid", Misconfigured),
    ("api key expired", Misconfigured),
    ("api key not found", Misconfigured),
    ("api_key_invalid", Misconfigured),
    ("user location is not supported", Misconfigured),
    ("maximum number of tokens", Unsuitable),
    ("token count", Unsuitable),
    ("context window", Unsuitable),
    ("this model", Unsuitable),
    ("is not enabled for", Unsuitable),
    ("response mime type", Unsuitable),
    ("unsupported mime type", Unsuitable),
    ("too many states for serving", Unsuitable),  # the response schema's
    ("maximum allowed nesting depth", Unsuitable),
    ("invalid function name", Unsuitable),  # OpenAI's may begin with a digit
    ("not supported", Unsuitable),
    ("is unsupported", Unsuitable),
    ("cannot be combined", Unsuitable),  # native tools and functions
    ("but the supported range is", Unsuitable),
    ("payload size exceeds", Unsuitable),
    ("cannot fetch content", Unsuitable),  # of a URL, as others may
    ("unsupported file uri", Unsuitable),
    ("thought signature", Unsuitable),
    ("thought_signature", Unsuitable),
)
"""400s whose message says that it is our configuration, or a limit of this model only."""
_NAMED_BY_THE_CLIENT: Final[tuple[tuple[str, Kind], ...]] = (
    ("permission to access the file", Unsuitable),
    ("cachedcontent not found", Unsuitable),
)
"""403s whose message says that what the request names does not exist: our key is in order."""
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """Decodes JSON into `shape`. Raises only Broken, whatever the bytes."""
    return faults.read(data, shape, "the generateContent")


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error for an answer whose status is not 200."""
    try:
        decoded: Any = read(body, object)
    except Broken:
        decoded = None
    return _fault(status, _error(decoded), headers)


def stream_fault(error: Any) -> UpstreamError:
    """The error for an `error` object inside a 200."""
    fields = error if isinstance(error, Mapping) else {}
    code = fields.get("code")
    return _fault(code if type(code) is int and 300 <= code < 600 else 0, fields, {})


def _fault(status: int, error: Mapping[str, Any], headers: Mapping[str, str]) -> UpstreamError:
    kind, message = shorten(error.get("status")), shorten(error.get("message"))
    details = list(_details(error))
    reasons = " ".join(shorten(detail.get("reason")) for detail in details)
    waits = [_seconds(_DURATION, shorten(detail.get("retryDelay"))) for detail in details]
    waits.append(_seconds(_DURATION, headers.get("retry-after", "") + "s"))
    otherwise = f"HTTP status {status}" if status else "an error"
    return _error_class(status, kind, f"{message} {reasons}")(
        message or f"the provider answered with {otherwise}",
        retry_after=next((wait for wait in waits if wait is not None), None),
        upstream_code=kind or None,
    )


def _error(body: Any) -> Mapping[str, Any]:
    """The object in {"error": {...}}, or in a list of it as in streams without alt=sse."""
    if isinstance(body, list):
        body = body[0] if body else None
    error = body.get("error") if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping):
            yield detail


def _seconds(pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.fullmatch(text)
    seconds = float(match[1]) if match else math.nan
    return None if math.isnan(seconds) else seconds


def _error_class(status: int, kind: str, message: str) -> Kind:
    """By the status if it is unambiguous, else by code, else by hundreds of the status."""
    error = _BY_STATUS.get(status) or _BY_CODE.get(kind)
    if status >= 500:
        return Overloaded if error is Overloaded else Faulty
    if error is None:
        error = _HUNDREDS.get(status // 100, Faulty if kind or status == 0 else Broken)
    if status == 403:
        return kind_by_message(message, _NAMED_BY_THE_CLIENT, error)
    return kind_by_message(message, _BY_MESSAGE, error) if error is Rejected else error
