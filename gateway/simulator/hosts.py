"""Hosts with an OpenAI-compatible API: each one's 429, and how it tells what a call costs, if it
does. Everything else is as with OpenAI.

Bodies are from the hosts' documentation or their users' reports; OpenRouter's is recorded.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, structs

from gateway.simulator import openai
from gateway.simulator.bill import FEES, cost_of
from gateway.simulator.format import Frame, Reply, compact
from gateway.simulator.simulated_request import Fault, SimulatedRequest


class RateLimitReply(Struct, frozen=True):
    """The body of a 429, with {model} as a placeholder, and its headers."""

    body: dict[str, Any]
    headers: dict[str, str] = {}


def _error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


HOSTS: Final[Mapping[str, RateLimitReply]] = {
    "cerebras": RateLimitReply(
        {
            "message": "Requests per minute limit exceeded - too many requests sent.",
            "type": "too_many_requests_error",
            "param": "quota",
            "code": "request_quota_exceeded",
        },
        {"x-ratelimit-remaining-requests-day": "0", "x-ratelimit-reset-requests-day": "1.0"},
    ),
    "dashscope": RateLimitReply(
        _error(
            "Requests rate limit exceeded, please try again later.",
            type="limit_requests",
            param=None,
            code="limit_requests",
        )
    ),
    "databricks": RateLimitReply(
        {
            "error_code": "REQUEST_LIMIT_EXCEEDED",
            "message": "REQUEST_LIMIT_EXCEEDED: Exceeded workspace QPS rate limit for {model}.",
        }
    ),
    "fireworks": RateLimitReply(
        {
            "error": "Too Many Requests",
            "message": "You have exceeded your usage limits. Please try again later.",
        }
    ),
    "groq": RateLimitReply(
        _error(
            "Rate limit reached for model `{model}` in organization `simulated` on requests per "
            "minute (RPM): Limit 60, Used 60, Requested 1. Please try again in 1s.",
            type="requests",
            code="rate_limit_exceeded",
        ),
        {"retry-after": "1", "x-ratelimit-reset-requests": "1s"},
    ),
    "mistral": RateLimitReply(
        {
            "object": "error",
            "message": "Rate limit exceeded",
            "type": "rate_limited",
            "param": None,
            "code": "1300",
        }
    ),
    "moonshot": RateLimitReply(
        _error(
            "Your account simulated request reached organization max RPM: 60, please try again "
            "after 1 seconds",
            type="rate_limit_reached_error",
        )
    ),
    "openrouter": RateLimitReply(
        {
            "error": {
                "code": 429,
                "message": "Provider returned error",
                "metadata": {
                    "provider_name": "Simulated",
                    "raw": "{model} is temporarily rate-limited upstream. Please retry shortly.",
                },
            },
            "user_id": "user_simulated",
        }
    ),
    "perplexity": RateLimitReply(
        _error(
            "Request rate limit exceeded, please try again later.",
            type="request_rate_limit_exceeded",
            code=429,
        )
    ),
    "tgi": RateLimitReply({"error": "Model is overloaded", "error_type": "overloaded"}),
    "together": RateLimitReply(
        _error(
            "You have reached the rate limit specific to this model {model}.",
            type="model_rate_limit",
            param=None,
            code=None,
        ),
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"},
    ),
    "xai": RateLimitReply(
        {
            "code": "Some resource has been exhausted",
            "error": "Too many requests for team simulated and model {model}.",
        }
    ),
    "zai": RateLimitReply(
        {"error": {"code": "1302", "message": "Rate limit reached for requests"}}
    ),
}


_PER_USD: Final = 10**9


def _told_cost(host: str, nanos: int) -> dict[str, Any]:
    """What a call costs, as fields of a usage in the host's own form."""
    usd = nanos / _PER_USD
    match host:
        case "xai":
            return {"cost_in_usd_ticks": nanos * 10}
        case "perplexity":
            return {"cost": {"request_cost": FEES[host] / _PER_USD, "total_cost": usd}}
        case _:
            return {"cost": usd, "is_byok": False}


class Host:
    """OpenAI's format, except for the name, the 429 and the cost."""

    def __init__(self, name: str, rate_limit: RateLimitReply) -> None:
        self._name = name
        self._rate_limit = rate_limit

    def name(self) -> str:
        return self._name

    def stream_media_type(self) -> str:
        return openai.stream_media_type()

    def read(
        self, body: bytes, headers: Mapping[str, str], params: Mapping[str, str]
    ) -> SimulatedRequest:
        """Raises Fault 400."""
        return openai.read(body, headers, params)

    def headers(self, request_id: str, status: int) -> dict[str, str]:
        return {"x-request-id": request_id} | (self._rate_limit.headers if status == 429 else {})

    def failure(self, status: int, model: str) -> Fault:
        """The message of a 429 is its whole body."""
        if status == 429:
            model_json = compact(model)[1:-1]  # escaped for JSON, without the quotes
            return Fault(429, compact(self._rate_limit.body).replace("{model}", model_json))
        return openai.failure(status, model)

    def unknown(self, method: str, path: str) -> Fault:
        return openai.unknown(method, path)

    def error(self, fault: Fault, request_id: str) -> bytes:
        return fault.message.encode() if fault.status == 429 else openai.error(fault, request_id)

    def whole(self, reply: Reply) -> bytes:
        return openai.whole(self._with_cost(reply))

    def frames(self, reply: Reply) -> list[Frame]:
        return openai.frames(self._with_cost(reply))

    def _with_cost(self, reply: Reply) -> Reply:
        if self._name not in FEES:
            return reply
        tokens = (reply.prompt_tokens, reply.completion_tokens)
        nanos = cost_of(reply.request.model, *tokens, self._name)
        return structs.replace(reply, more_usage=_told_cost(self._name, nanos))

    def interruption(self, request_id: str, fault: Fault | None) -> bytes:
        if fault is None:
            return openai.interruption(request_id, None)
        return b"data: %b\n\n" % self.error(fault, request_id)
