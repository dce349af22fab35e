"""How a life ends without an answer: denied, or dropped by the client."""

from gateway.core.errors import GatewayError, ShuttingDown
from gateway.core.events import About, Denied, Dropped


def unanswered(
    about: About, error: BaseException | None, seconds: float, *, gone: bool
) -> Denied | Dropped:
    """The event: `error` was raised, or the client is `gone`, whatever else happened. A task that
    is cancelled for another reason has that reason as its error's argument.
    """
    if gone:
        return Dropped(about, seconds)
    if error is not None and error.args == (ShuttingDown.code,):
        return Denied(about, ShuttingDown.code, ShuttingDown.status, seconds)
    if isinstance(error, GatewayError):
        return Denied(about, error.code or "error", error.status, seconds)
    if isinstance(error, Exception):  # a bug of ours still ends the life
        return Denied(about, "internal_error", 500, seconds)
    return Dropped(about, seconds)
