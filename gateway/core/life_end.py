"""How a life ends without an answer: denied, or dropped by the client."""

from gateway.core.errors import GatewayError, ShuttingDown
from gateway.core.events import About, Denied, Dropped


def unanswered(
    about: About, error: BaseException | None, seconds: float, *, gone: bool
) -> Denied | Dropped:
    """What is told of it: `error` was met, or the client is `gone`, whatever came of it. A task
    that is cancelled says with that why, unless it is that nobody listens.
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
