"""Claude at every provider: the model generation from its name, thinking and sampling parameters,
what only Anthropic's own API accepts, and what Claude refuses. Thinking blocks are in thoughts.py.

Sources: Anthropic's pages on adaptive thinking, effort, extended and preserved thinking, and the
migration guides for 4.6, 4.7, and each model of 5 and 5.5.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.core.errors import InvalidRequest
from gateway.wire.request_fields import number

MIN_BUDGET: Final = 1_024
"""Tokens; the API refuses less."""
BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 32_768,
}
"""Thinking tokens, for models that take a budget; at most half of the output limit is used."""
EFFORTS: Final = ("none", *BUDGETS)

REFUSALS: Final = (
    "context limit", "context window", "content filter", "this model", "when tool_choice forces",
    "in `thinking` block", "in `redacted_thinking` block", "expected `thinking`",
    "blocks in the latest assistant message", "image exceeds", "max allowed size",
    "pdf pages may be provided", "extra inputs are not permitted", "invalid beta flag",
    "input_schema does not support",  # a union, which OpenAI and Gemini take
    "property keys should match", "schemas contains too many", "schema is too complex",
    "compiled grammar is too large",
)  # fmt: skip
"""Parts, in lower case, of messages of Claude's 400s, whichever host passes them on: a model of
another vendor may take the request.
"""

FORGIVING: Final = "thinking-binding-controls-2026-08-01"
"""The name for `anthropic-beta` that must be sent with `block_binding`. Bedrock and Vertex AI
accept it as well (BerriAI/litellm#41203).
"""
BINDS: Final = (5, 1)
"""The first version that checks a thinking block sent back against everything before it."""
HIDES: Final = (4, 7)
"""The first version that omits its thinking unless `display` is set, at every host."""
_ALWAYS_THINKS: Final = re.compile(r"-(?:fable|mythos)-")
"""Model families that cannot turn thinking off."""
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?![\d.])")
_PREVIEW: Final = "claude-mythos-preview"
"""The only model whose name has no version; it accepts what models of 4.7 do."""


def version(name: str) -> tuple[int, int] | None:
    """(4, 5) for claude-sonnet-4-5-20250929, (3, 7) for claude-3-7-sonnet; None if unknown."""
    match = _VERSION.search(name)
    if match is None:
        return (4, 7) if _PREVIEW in name else None
    return int(match[1]), int(match[2] or 0)


def knows_xhigh(name: str) -> bool:
    """Whether the model accepts the effort `xhigh`, between `high` and `max` (4.7 on)."""
    return (version(name) or (0, 0)) >= (4, 7) and _PREVIEW not in name


def thinking_off(name: str) -> Mapping[str, Any] | None:
    """The fields that turn thinking off in a model that thinks by default (5 on). {} if it does not
    think by default, None if thinking cannot be turned off: then low effort is the least.
    """
    generation = version(name)
    if generation is None or (generation < (5, 0) and not _ALWAYS_THINKS.search(name)):
        return {}
    if generation > (5, 5) or _ALWAYS_THINKS.search(name):
        return None
    if generation < (5, 5) or "-haiku-" in name:
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {"type": "between_tools"}} if "-sonnet-" in name else None


def forgiving(config: Any) -> dict[str, Any] | None:
    """A `thinking` with which a model that binds its thinking blocks leaves out those that came
    after another context than they have now. Without it the model answers 400: clients shorten
    chats, and strategies add messages that no client sees. None if the config already says how, or
    if thinking is off.
    """
    thinking = {"type": "adaptive"} if config is None else config
    if not isinstance(thinking, Mapping) or thinking.get("block_binding") is not None:
        return None
    if thinking.get("type") not in {"adaptive", "enabled"}:
        return None
    return {**thinking, "block_binding": {"prefix_mismatch_behavior": "drop_block"}}


def refuse_forced_tool(name: str, mode: str | None) -> None:
    """Raises InvalidRequest if the choice forces a tool and the model does not support that: it
    would answer 400 (Fable and Mythos from 5.1 on, Opus and Sonnet from 5.5 on).
    """
    generation = version(name) or (0, 0)
    can_be_forced = (
        generation < ((5, 1) if _ALWAYS_THINKS.search(name) else (5, 5)) or "-haiku-" in name
    )
    if mode in {"any", "tool"} and not can_be_forced:
        raise InvalidRequest(
            "tool_choice: this model cannot be made to call a tool", param="tool_choice"
        )


def adaptive_effort(effort: str, *, xhigh: bool) -> str:
    """The `effort` for models with adaptive thinking (4.6 on)."""
    if effort == "minimal":
        return "low"
    return "max" if effort == "xhigh" and not xhigh else effort


def thinking_budget(effort: str, limit: int, *, forced: bool, thoughts_missing: bool) -> int | None:
    """`budget_tokens`; None if a budget is not possible: the output limit is too small, a tool is
    forced, or the last answer called tools, or is to be continued, and its thinking blocks were not
    sent back.
    """
    tokens = min(BUDGETS[effort], limit // 2)
    return None if tokens < MIN_BUDGET or forced or thoughts_missing else tokens


def is_thinking(config: Any) -> bool:
    """Whether a `thinking` field of the Messages API turns thinking on."""
    return isinstance(config, Mapping) and config.get("type") != "disabled"


def turns_thinking_off(config: Any) -> bool:
    """Whether a `thinking` field turns thinking off. A model that binds its thinking blocks then
    has no `block_binding`: those sent back must be left out, as it would not read them anyway
    (Anthropic, "Fix a thinking block bound to a different conversation").
    """
    return isinstance(config, Mapping) and config.get("type") == "disabled"


def thinks_with_forced_tool(generation: tuple[int, int] | None, *, bedrock: bool) -> bool:
    """Whether adaptive thinking is allowed together with a forced tool.

    At Anthropic it always is (its page "Thinking with tool use", and a recorded answer of 4.6);
    at Bedrock not for 4.6 and 4.7 (langchain-ai/langchain-aws#1141 and #1151). With
    `budget_tokens` it never is.
    """
    return not bedrock or generation is None or not (4, 6) <= generation < (4, 8)


def conflicts_with_forced_tool(config: Any, *, forced: bool, adaptive: bool) -> bool:
    """Whether the API would refuse the client's own `thinking` because a tool is forced; `adaptive`
    says whether adaptive thinking is allowed with one.
    """
    if not forced or not is_thinking(config):
        return False
    return not (adaptive and config.get("type") == "adaptive")


def sampling(fields: Mapping[str, Any], *, none: bool, both: bool) -> dict[str, Any]:
    """Temperature (capped at 1), top_p and top_k, as far as the model accepts them.

    `none`: thinking is on, or the model is 4.7 or newer, which accepts none of them. Not `both`:
    from 4.1 on only one of temperature and top_p is accepted; the one that is not at its default
    is sent, temperature first.
    """
    values = {name: number(fields, name) for name in ("temperature", "top_p", "top_k")}
    if none:
        return {}
    temperature = values["temperature"]
    if not both and None not in (temperature, values["top_p"]):
        values["temperature" if temperature == 1 and values["top_p"] != 1 else "top_p"] = None
    if values["temperature"] is not None:
        values["temperature"] = min(temperature, 1.0)
    return {name: value for name, value in values.items() if value is not None}


ANTHROPIC_ONLY: Final = ("container", "inference_geo", "mcp_servers")
"""Fields of the Messages API that Bedrock and Vertex AI do not support."""
_AUTOMATIC_CACHING: Final = "cache_control"
"""Of the whole body: a 400 at Bedrock and Vertex AI, which accept the marks of single blocks.
Sources: Anthropic's page on prompt caching; UKGovernmentBEIS/inspect_ai#3851.
"""
_FETCHED_SOURCES: Final = frozenset({"url", "file"})
"""Source types of images and documents that only Anthropic's own API fetches."""


def refuse_anthropic_only(fields: Mapping[str, Raw], who: str) -> None:
    """Raises InvalidRequest, naming the field, for parts of a Messages body that only Anthropic's
    own API supports. Sources: Anthropic's pages on Bedrock, Vertex AI, the Files API and the MCP
    connector; for URLs at Vertex AI, BerriAI/litellm#18430 and anthropic-sdk-typescript#1038.
    """
    for name in ANTHROPIC_ONLY:
        if name in fields:
            raise InvalidRequest(f"{name}: {who} cannot do this", param=name)
    for name in ("system", "messages"):
        if name in fields and any(_needs_fetch(msgspec.json.decode(fields[name]))):
            raise InvalidRequest(
                f"{name}: images and files must be base64 data: URLs; {who} fetches nothing",
                param=name,
            )


def drop_automatic_caching(fields: dict[str, Any], dropped: tuple[str, ...]) -> tuple[str, ...]:
    """Removes it from the fields of a Messages body. Returns the names of all that was dropped."""
    if fields.pop(_AUTOMATIC_CACHING, None) is None:
        return dropped
    return tuple(sorted((*dropped, _AUTOMATIC_CACHING)))


def _needs_fetch(value: Any) -> Iterator[bool]:
    """For each block of a content, nested ones included: whether the provider must fetch it."""
    for each in value if isinstance(value, list) else ():
        if isinstance(each, Mapping):
            source = each.get("source")
            yield isinstance(source, Mapping) and source.get("type") in _FETCHED_SOURCES
            yield each.get("type") == "container_upload"
            yield from _needs_fetch(each.get("content"))
