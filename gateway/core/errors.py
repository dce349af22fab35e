"""The errors that end a request or a call: what the client sees, and what may be done about it.

GatewayError                     500  a bug of ours
  ClientError                         the request cannot be served as it is
    InvalidRequest               400    names the field and what is allowed
    NothingFits                  400    every model was ruled out; says why, one by one
    Unauthenticated              401
    Forbidden                    403
    NotPermitted                 403    an admin key that may not do this
    UnknownModel                 404
    NotFound                     404
    MethodNotAllowed             405
    RequestTimeout               408    its body stopped half-way
    Conflict                     409    it is not as it was thought to be
    ConfigRefused                422    the configuration has faults: the old one goes on
    TooLarge                     413
    HeadersTooLarge              431
    ClientGone                   499    nobody hears it; it is only counted
    BudgetExceeded               429    names scope, cap and reset time
      RateLimited                429    of tokens or requests, where waiting helps; says how long
  Unavailable                    503    try again in a second
    LedgerDown, Busy, KeysDown, ShuttingDown
  NoAnswer                       502    every candidate was tried
    OutOfTime                    504
  UpstreamError                       one call to one provider failed; only Rejected and Unsuitable,
                                      the client's own faults, ever reach the client as they are
    Unreachable                       no connection                           retry: elsewhere
    Reset                             closed before a byte of an answer came  retry: same once
    TimedOut                          no answer in time                       retry: elsewhere
    Throttled                         429                                     retry: elsewhere
    Overloaded                        503, 529                                retry: elsewhere
    Faulty                            other 5xx                               retry: elsewhere
    Broken                            bytes we cannot read, or too few        retry: elsewhere
    Misconfigured                     401, 402, 403, 404, 410: our key or model retry: elsewhere
    Unsuitable                        too long, or filtered, for this model   retry: elsewhere
    Rejected                          other 4xx                               retry: never
"""

import re
from typing import ClassVar, Final, Literal

from gateway.core.usage import Usage

Retry = Literal["same", "elsewhere", "never"]
Bills = Literal["nothing", "prompt", "counted"]
_SECRETS: Final = re.compile(
    r"\b\w+://[^\s\"']+|\bBearer\s+\S+|\bAIza[\w-]{8,}|\bA[KS]IA[A-Z0-9]{8,}"
    r"|\b(?:sk|pk|rk|gsk|csk|xai|hf|nvapi|r8|tgp|key|fw|dapi)[-_][\w*.-]{6,}"
)
"""What providers put into their messages that is not for clients: addresses and keys."""


class GatewayError(Exception):
    """Shown to the client as an OpenAI error object."""

    status: int = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = "internal_error"
    should_retry: ClassVar[bool | None] = False
    """What `x-should-retry` tells the client's SDK; None leaves it to the status. What failed may
    have been paid for, and would be again.
    """

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ClientError(GatewayError):
    status = 400
    type = "invalid_request_error"


class InvalidRequest(ClientError):
    code = "invalid_request"


class NothingFits(ClientError):
    code = "no_model_fits"


class Unauthenticated(ClientError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(ClientError):
    status = 403
    type = "permission_error"
    code = "model_not_allowed"


class NotPermitted(ClientError):
    status = 403
    type = "permission_error"
    code = "not_permitted"


class UnknownModel(ClientError):
    status = 404
    code = "model_not_found"


class NotFound(ClientError):
    status = 404
    code = "not_found"


class MethodNotAllowed(ClientError):
    status = 405
    code = "method_not_allowed"


class RequestTimeout(ClientError):
    """The connection ends with it: what comes later is nobody's."""

    status = 408
    code = "request_timeout"
    should_retry = None


class Conflict(ClientError):
    status = 409
    code = "conflict"


class ConfigRefused(ClientError):
    """Its text is one line a fault."""

    status = 422
    code = "config_refused"


class TooLarge(ClientError):
    status = 413
    code = "request_too_large"


class HeadersTooLarge(ClientError):
    status = 431
    code = "headers_too_large"


class ClientGone(ClientError):
    status = 499
    code = "client_gone"


class BudgetExceeded(ClientError):
    status = 429
    type = "insufficient_quota"
    code = "budget_exceeded"


class RateLimited(BudgetExceeded):
    type = "requests"
    code = "rate_limit_exceeded"
    should_retry = None

    def __init__(self, message: str, *, retry_after: float = 1.0, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after
        """Seconds."""


class Unavailable(GatewayError):
    status = 503
    should_retry = None
    retry_after: ClassVar[int] = 1


class LedgerDown(Unavailable):
    code = "ledger_unavailable"


class Busy(Unavailable):
    code = "too_many_requests_in_flight"


class CacheDown(Exception):
    """No client's error: where answers are kept cannot say in time whether one is."""


class ShuttingDown(Unavailable):
    code = "shutting_down"


class KeysDown(Unavailable):
    code = "keys_unavailable"


class NoAnswer(GatewayError):
    status = 502
    type = "upstream_error"
    code = "no_answer"


class OutOfTime(NoAnswer):
    status = 504
    code = "deadline_exceeded"


class UpstreamError(GatewayError):
    """A provider failed. The message may be shown: no key, no URL, no stack in it.

    `bills` says what the provider will charge for the failed call: nothing, the prompt, or the
    prompt and whatever of the answer had come.
    """

    status = 502
    type = "upstream_error"
    kind: ClassVar[str] = "upstream_error"
    """The label of this class in metrics and headers."""
    retry: ClassVar[Retry] = "elsewhere"
    bills: ClassVar[Bills] = "nothing"
    dings: ClassVar[bool] = True
    """Whether it counts against the deployment's health."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        param: str | None = None,
        upstream_code: str | None = None,
    ) -> None:
        super().__init__(_SECRETS.sub("[...]", message), param=param)
        self.retry_after = retry_after
        self.upstream_code = upstream_code
        self.usage: Usage | None = None
        """What the provider says that it counted for the failed call, and so bills: it stands
        before `bills`."""
        if status is not None:
            self.status = status


UNSENT: Final = "nothing was sent"
"""The note of a cancellation that struck a call before any of it was sent: it costs nothing."""


def is_unsent(error: BaseException | None) -> bool:
    return UNSENT in getattr(error, "__notes__", ())


class Unreachable(UpstreamError):
    kind = code = "unreachable"


class Reset(UpstreamError):
    kind = code = "reset"
    retry = "same"


class TimedOut(UpstreamError):
    kind = code = "timed_out"
    bills: ClassVar[Bills] = "prompt"


class Throttled(UpstreamError):
    kind = code = "throttled"


class Overloaded(UpstreamError):
    kind = code = "overloaded"


class Faulty(UpstreamError):
    kind = code = "faulty"


class Broken(UpstreamError):
    kind = code = "broken"
    bills = "counted"


class Misconfigured(UpstreamError):
    kind = code = "misconfigured"


class Unsuitable(UpstreamError):
    status = 400
    kind = code = "unsuitable"
    type = "invalid_request_error"
    dings = False


class Rejected(UpstreamError):
    status = 400
    kind = code = "rejected"
    type = "invalid_request_error"
    retry = "never"
    dings = False
