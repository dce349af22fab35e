"""Maps failed calls to errors, by the exception's name, the status, or the message.

The names are in the API reference of Bedrock Runtime; an exception in a stream has only a name.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

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
from gateway.wire import faults
from gateway.wire.claude import REFUSALS
from gateway.wire.faults import Kind, kind_by_message, retry_after, shorten

_BY_NAME: Final[Mapping[str, Kind]] = {
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
"""By the lower-case name without `exception`/`error`: streams write `throttlingException`."""
_BY_STATUS: Final[Mapping[int, Kind]] = {**faults.BY_STATUS, 408: Faulty, 424: Faulty}
_HUNDREDS: Final[Mapping[int, Kind]] = {3: Misconfigured, 4: Rejected, 5: Faulty}
"""By hundreds of the status. A redirect means a wrong base URL."""
_BY_MESSAGE: Final[tuple[tuple[str, Kind], ...]] = (
    ("model identifier is invalid", Misconfigured),
    ("on-demand throughput", Misconfigured),
    ("invocation of model id", Misconfigured),
    ("end of its life", Misconfigured),
    ("data retention mode", Misconfigured),
    ("use-case form", Misconfigured),
    ("is too long", Unsuitable),
    ("too many tokens", Unsuitable),
    ("too many input tokens", Unsuitable),
    ("maximum tokens", Unsuitable),
    ("context length", Unsuitable),
    ("cannot contain reasoning content", Unsuitable),
    ("must contain non-whitespace", Unsuitable),
    ("too many images", Unsuitable),
    ("the model that you are using", Unsuitable),
    ("malformed input request", Unsuitable),
    ("not supported", Unsuitable),
    ("not support", Unsuitable),
    *((words, Unsuitable) for words in REFUSALS),
)
"""ValidationExceptions whose message says that it is our configuration, or this model only."""

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """Decodes JSON into `shape`. Raises only Broken, whatever the bytes."""
    return faults.read(data, shape, "Bedrock's")


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error for an answer whose status is not 200."""
    fields = _decode_object(body)
    name = headers.get("x-amzn-errortype", "") or _string(fields, "__type")
    if not name and isinstance(fields.get("Output"), dict):
        name = _string(fields["Output"], "__type")
    return _error(
        name,
        _message(fields) or f"the provider answered with HTTP status {status}",
        status=status,
        retry_after=retry_after(headers),
    )


def stream_fault(name: str, payload: bytes, message: str = "") -> UpstreamError:
    """The error for an exception in a stream."""
    fields = _decode_object(payload)
    message = message or _message(fields) or _string(fields, "originalMessage")
    return _error(name, message or "the provider broke off its answer")


def foreign_fault(body: bytes) -> UpstreamError:
    """The error for a body with status 200 that is not the expected event stream."""
    fields = _decode_object(body)
    message = _message(fields) or "the provider's stream is not an event stream"
    return _error(_string(fields, "__type"), message)


def _error(
    name: str, message: str, *, status: int = 0, retry_after: float | None = None
) -> UpstreamError:
    name = shorten(_bare_name(name))
    error = _error_class(name, status, message)
    return error(shorten(message), retry_after=retry_after, upstream_code=name or None)


def _error_class(name: str, status: int, message: str) -> Kind:
    """By the name if it is known, else by status, else by hundreds of the status."""
    known = name.lower().removesuffix("error").removesuffix("exception")
    found = _BY_NAME.get(known) or _BY_NAME.get(name.lower().removesuffix("exception"))
    found = found or _BY_STATUS.get(status) or _HUNDREDS.get(status // 100)
    if found is None:
        return Faulty if name else Broken
    return kind_by_message(message, _BY_MESSAGE, found) if found is Rejected else found


def _bare_name(name: str) -> str:
    """`com.amazon.bedrock#ValidationException:http://...` is a ValidationException."""
    return name.partition(":")[0].rpartition("#")[2].strip()


def _decode_object(body: bytes) -> dict[str, Any]:
    try:
        return read(body, dict[str, Any])
    except Broken:
        return {}


def _message(fields: Mapping[str, Any]) -> str:
    return _string(fields, "message") or _string(fields, "Message")


def _string(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
