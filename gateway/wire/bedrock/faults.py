"""What a failed call means, from the exception's name, the status, or the words of the message.

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
from gateway.wire.faults import Kind, by_words, retry_after, short

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
"""By the name without its ending, in lower case: streams write `throttlingException`."""
_BY_STATUS: Final[Mapping[int, Kind]] = {**faults.PLAIN, 408: Faulty, 424: Faulty}
_HUNDREDS: Final[Mapping[int, Kind]] = {3: Misconfigured, 4: Rejected, 5: Faulty}
"""A redirect is a wrong base URL."""
_BY_MESSAGE: Final[tuple[tuple[str, Kind], ...]] = (
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
    ("when tool_choice forces", Unsuitable),
    ("in `thinking` block", Unsuitable),
    ("in `redacted_thinking` block", Unsuitable),
    ("must contain non-whitespace", Unsuitable),
    ("image exceeds", Unsuitable),
    ("schemas contains too many", Unsuitable),
    ("schema is too complex", Unsuitable),
    ("compiled grammar is too large", Unsuitable),
    ("the model that you are using", Unsuitable),
    ("malformed input request", Unsuitable),
    ("not supported", Unsuitable),
    ("not support", Unsuitable),
)
"""A ValidationException says most things only in its text: our setting, or only this model."""

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """JSON as a value of `shape`. Raises Broken, and nothing else, on any bytes."""
    return faults.read(data, shape, "Bedrock's")


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
        retry_after=retry_after(headers),
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
    name = short(_bare(name))
    found = _class(name, status, message)
    return found(short(message), retry_after=retry_after, upstream_code=name or None)


def _class(name: str, status: int, message: str) -> Kind:
    """The name decides where it is known, else the status, else the status's hundreds."""
    known = name.lower().removesuffix("error").removesuffix("exception")
    found = _BY_NAME.get(known) or _BY_NAME.get(name.lower().removesuffix("exception"))
    found = found or _BY_STATUS.get(status) or _HUNDREDS.get(status // 100)
    if found is None:
        return Faulty if name else Broken
    return by_words(message, _BY_MESSAGE, found) if found is Rejected else found


def _bare(name: str) -> str:
    """`com.amazon.bedrock#ValidationException:http://...` is a ValidationException."""
    return name.partition(":")[0].rpartition("#")[2].strip()


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
