"""How a life ends: replied, denied, or dropped by the client."""

from gateway.core.errors import GatewayError
from gateway.core.events import About, Denied, Dropped, Event, Replied
from gateway.core.plan import Candidate
from gateway.core.spent import Tab


def ended(
    about: About,
    tab: Tab,
    candidate: Candidate | None,
    error: BaseException | None,
    why: str,
    began: float,
    now: float,
) -> Event:
    """What is told of it. `candidate` has answered, for the reason `why`, or `error` was met."""
    seconds = now - began
    if tab.gone:
        return Dropped(about, seconds)
    if error is None and candidate is not None:
        first = tab.first_token_at
        return Replied(
            about,
            candidate.deployment.provider,
            candidate.model.name,
            candidate.tier,
            why,
            seconds,
            tab.upstream_s,
            None if first is None else first - began,
            tab.usage,
            tab.spent,
            tab.answer,
        )
    if isinstance(error, GatewayError):
        return Denied(about, error.code or "error", error.status, seconds)
    if isinstance(error, Exception):  # a bug of ours still ends the life
        return Denied(about, "internal_error", 500, seconds)
    return Dropped(about, seconds)
