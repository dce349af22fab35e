"""Maps provider errors to ours, by status, code, and finally by phrases in the message.

Compatible hosts put the error object at the top level, into a list, or into a 200; name the message
`detail`; and send a number where OpenAI sends a code. FastAPI and Mistral list a request's faults:
{"detail": [{"type", "loc", "msg"}]}, or the same as the `message`. MiniMax has its own number in
every answer, 0 for success: {"base_resp": {"status_code", "status_msg"}}.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import faults
from gateway.wire.claude import REFUSALS
from gateway.wire.faults import Kind, kind_by_message, retry_after, shorten

_BY_STATUS: Final[Mapping[int, Kind]] = {
    **faults.BY_STATUS,
    408: Faulty,
    412: Misconfigured,
    413: Unsuitable,
    424: Faulty,
    498: Overloaded,
}
"""412: Fireworks has suspended the account. 413: each host has its own limit of bytes. 424: what
TGI, or a model in Azure, failed in. 498: Groq's flex tier has no capacity left.
"""
_STATUS_OF: Final[Mapping[str, int]] = {
    **dict.fromkeys(("rate_limit_exceeded", "rate_limit_error", "too_many_requests"), 429),
    **dict.fromkeys(("ratelimiterror", "requests", "tokens", "resource_exhausted"), 429),
    **dict.fromkeys(("overloaded_error", "overloaded", "server_overloaded"), 503),
    **dict.fromkeys(("service_unavailable", "engine_overloaded", "unavailable"), 503),
    **dict.fromkeys(("authentication_error", "invalid_api_key", "unauthorized"), 401),
    **dict.fromkeys(("permission_error", "permission_denied"), 403),
    **dict.fromkeys(("not_found_error", "model_not_found", "not_found"), 404),
    **dict.fromkeys(("invalid_request_error", "badrequesterror", "bad_request"), 400),
    "invalid_argument": 400,
}
"""The status that an error inside a 200 would have had."""

_MINIMAX: Final[Mapping[Any, int | str]] = {
    **dict.fromkeys((1002, 1039, 1041, 2056, 2062), 429),
    **dict.fromkeys((1004, 2049), 401),
    **dict.fromkeys((1026, 1027), "content_filter"),
    1008: 402,
    2013: 400,
}
"""MiniMax's error numbers as HTTP status or OpenAI code. All others count as 500.
"""
_OUR_ACCOUNT: Final = frozenset(
    {
        "arrearage",
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "budget_exceeded",  # LiteLLM's
        "exceeded_current_quota_error",  # Kimi's
        "insufficient_balance",
        "invalid_api_key",
        "invalid_model",
        "model_decommissioned",
        "model_not_found",
        "model_terms_required",  # Groq's
        "operationnotsupported",  # Azure's, of a deployment that is not for chats
        "organization_restricted",
        "account_deactivated",
        "unsupported_country_region_territory",
    }
)
_UNSUITABLE: Final = frozenset(
    {
        "context_length_exceeded",
        "string_above_max_length",
        "content_filter",
        "content_filter_error",
        "content_policy_violation",
        "responsibleaipolicyviolation",
        "moderation_blocked",
        "invalid_prompt",
        "invalid_image_url",  # which OpenAI could not fetch; others may
        "data_inspection_failed",
        # The model's own failure, sent as a 400 (Groq): another model may succeed.
        "tool_use_failed",
        "json_validate_failed",
        # Not supported by this model or host.
        "unknown_parameter",
        "extra_forbidden",
    }
)
_UNSUPPORTED: Final = "unsupported_"
"""Prefix of codes for what only this model does not support: `unsupported_value`, ..."""
_TOO_LONG_OR_FILTERED: Final = tuple(
    (words, Unsuitable)
    for words in (
        "context length", "context_length", "context size", "context_size", "context window",
        "context_window", "maximum input length", "maximum prompt length", "prompt is too long",
        "input is too long", "too many tokens", "too many input tokens", "reduce the length",
        "request too large for model", "content management policy", "requires moderation",
        # Kimi, Qwen, z.ai, TGI and Together, Copilot, OpenAI
        "exceeded model token limit", "range of input length", "range of max_tokens",
        "exceeds max length", "max_new_tokens` must be <=", "inputs` must have less than",
        "exceeds the limit of", "exceed the configured limit",
        # SGLang, vLLM, Snowflake
        "maximum allowed length", "maximum model length", "max tokens of",
        # xAI, z.ai, DeepSeek
        "violates usage guidelines", "unsafe or sensitive content", "不安全或敏感内容",
        "content exists risk",
    )
)  # fmt: skip
"""Too long, or filtered; with any of the 4xx below."""
_THIS_MODEL: Final = tuple(
    (words, Unsuitable)
    for words in (
        "does not support", "doesn't support", "not supported",
        "is unsupported", "unknown field",
        "unknown variant",
        "unrecognized request argument", "unknown parameter",
        "for non-streaming calls", "must have stream=true",  # Qwen, Fireworks
        # Kimi, DeepSeek; models in vLLM, by their kind, their template and how it was started
        "incompatible with thinking", "response_format type is unavailable",
        "is not a multimodal model", "may be provided in one", "roles must alternate",
        "requires --enable-auto-tool-choice",
        # The templates of Qwen and Mistral, in vLLM and at Mistral
        "system message must be at the beginning", "no user query found",
        "unexpected role", "expected last role", "tool call id was",
        # A chat whose thoughts are lost, or another model's: DeepSeek, Kimi, Gemini
        "must be passed back", "reasoning_content is missing",
        "thought_signature", "thought signature",
        *REFUSALS,
    )
)  # fmt: skip
"""Phrases in a 400 or 422: another model or host may accept the request."""
_THIS_REQUEST: Final[Mapping[int, Sequence[tuple[str, Kind]]]] = {
    404: (("no endpoints found that", Unsuitable), ("no allowed providers", Unsuitable)),
    429: (
        ("request too large for", Unsuitable),
        ("insufficient balance", Misconfigured), ("余额不足", Misconfigured),
        ("used all available credits", Misconfigured),
    ),
}  # fmt: skip
"""404: no host of the model at OpenRouter takes such a request, or none of those that it names.
429: it alone has more tokens than OpenAI allows our account for a minute; or our account at z.ai,
Kimi or xAI has no money left, for which no waiting helps.
"""
_BAD_SETTING: Final = re.compile(
    r"\bapi[ _-]?key\b.*\b(?:not valid|invalid|incorrect)\b"
    r"|\b(?:invalid|incorrect)\b.*\bapi[ _-]?key\b"
    r"|\bnot a valid model\b|\b(?:invalid|unknown) model\b|\bmodel not (?:exist|found)\b|模型不存在"
    r"|\bmodel\b.*\b(?:does not exist|decommissioned|no longer (?:supported|available))\b",
    re.IGNORECASE,
)
"""Our API key or our model name is wrong: the client's are not sent."""


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error for an answer whose status is not 200. Header names are lower case."""
    try:
        decoded = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        decoded = None  # a proxy's HTML page, or empty
    return _ErrorBody(decoded).error(status, retry_after(headers))


def fault_in_body(answer: Any, *, sure: bool = False) -> UpstreamError | None:
    """The error in a body with status 200, or None; `sure`: it is known to be an error."""
    if not isinstance(answer, Mapping):
        return None
    if not (sure or answer.get("error") or answer.get("object") == "error" or _minimax(answer)):
        error = _of_a_choice(answer.get("choices"))
        if not error:
            return None
        answer = {"error": error}
    body = _ErrorBody(answer)
    return body.error(body.status_inside(), None)


def _of_a_choice(choices: Any) -> Any:
    """OpenRouter's, where the host behind it failed in the middle of an answer."""
    entries = choices if isinstance(choices, list) else ()
    found = (choice.get("error") for choice in entries if isinstance(choice, Mapping))
    return next(filter(None, found), None)


def _minimax(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """MiniMax's error as an OpenAI error object, or None."""
    base_resp = answer.get("base_resp")
    if not isinstance(base_resp, Mapping) or type(base_resp.get("status_code")) is not int:
        return None
    code = base_resp["status_code"]
    return (
        {"message": base_resp.get("status_msg"), "code": _MINIMAX.get(code, 500)} if code else None
    )


class _ErrorBody:
    """The fields of an error body, in any of the known layouts."""

    def __init__(self, body: Any) -> None:
        if isinstance(body, list) and body:
            body = body[0]
        top = body if isinstance(body, Mapping) else {}
        error = top.get("error") or _minimax(top)
        inner = error if isinstance(error, Mapping) else top
        words = error if isinstance(error, str) else inner.get("message") or inner.get("detail")
        invalid = _invalid_fields(words)
        if invalid:
            words = "; ".join(f"{place}: {why}" for place, why, _ in invalid)
        metadata = inner.get("metadata")
        raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
        if isinstance(words, str) and isinstance(raw, str) and raw:
            words = f"{words}: {raw}"  # OpenRouter's own is "Provider returned error"
        self.message = shorten(words.strip()) if isinstance(words, str) else ""
        code = inner.get("code", inner.get("error_code"))
        self.number = code if isinstance(code, int) else _number(code)
        self.code = code if isinstance(code, str) and self.number is None else None
        self.type = inner.get("type") if isinstance(inner.get("type"), str) else None
        param = inner.get("param")
        self.param = shorten(param) if isinstance(param, str) else None
        deeper = inner.get("innererror")
        inner_code = deeper.get("code") if isinstance(deeper, Mapping) else None
        names = (self.code, self.type, inner_code, *(kind for *_, kind in invalid))
        self.names = frozenset(name.lower() for name in names if isinstance(name, str))

    def status_inside(self) -> int:
        if self.number is not None and 400 <= self.number < 600:
            return self.number
        if self._unsuitable_by_name():
            return 400
        return next((_STATUS_OF[name] for name in sorted(self.names) if name in _STATUS_OF), 500)

    def error(self, status: int, wait: float | None) -> UpstreamError:
        kind = self._kind(status)
        return kind(
            self.message or f"the provider answered with status {status}",
            status=status if kind in (Rejected, Unsuitable) else None,
            retry_after=wait,
            param=self.param,
            upstream_code=self.code[:100] if self.code else None,
        )

    def _kind(self, status: int) -> Kind:
        if not 400 <= status < 600:
            # A redirect means a wrong base URL; other 2xx are not answers to a chat.
            return Misconfigured if 300 <= status < 400 else Broken
        if status < 500 and self.names & _OUR_ACCOUNT:
            return Misconfigured
        if status in (400, 422) and _BAD_SETTING.search(self.message):
            return Misconfigured
        kind = _BY_STATUS.get(status, Rejected if status < 500 else Faulty)
        if status in (400, 403, 413, 422, 424):
            if self._unsuitable_by_name():
                return Unsuitable
            kind = kind_by_message(self.message, _TOO_LONG_OR_FILTERED, kind)
        if status in (400, 422):
            kind = kind_by_message(self.message, _THIS_MODEL, kind)
        if status in _THIS_REQUEST:
            kind = kind_by_message(self.message, _THIS_REQUEST[status], kind)
        return kind

    def _unsuitable_by_name(self) -> bool:
        return any(name in _UNSUITABLE or name.startswith(_UNSUPPORTED) for name in self.names)


def _invalid_fields(words: Any) -> list[tuple[str, str, Any]]:
    """Path, reason and type of each refused field, from a list of pydantic's errors; [] for any
    other message.
    """
    listed = words.get("detail") if isinstance(words, Mapping) else words
    entries = listed if isinstance(listed, list) else []
    return [
        (_path(entry.get("loc")), entry["msg"], entry.get("type"))
        for entry in entries
        if isinstance(entry, Mapping) and isinstance(entry.get("msg"), str)
    ]


def _path(steps: Any) -> str:
    return ".".join(map(str, steps)) if isinstance(steps, list) else "body"


def _number(code: Any) -> int | None:
    return int(code) if isinstance(code, str) and re.fullmatch("[0-9]{1,9}", code) else None
