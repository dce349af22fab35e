"""Claude at whichever door: which generation a name tells, how it thinks and draws its words, and
what only Anthropic's own door takes. What was thought is in thoughts.py.

Sources: Anthropic's pages on adaptive thinking, effort and extended thinking, and the migration
guides for 4.6, 4.7, and each model of 5 and 5.5.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.core.errors import InvalidRequest
from gateway.wire.asked import number

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
"""Tokens to think with, for models that take a budget: at most half of the output limit."""
EFFORTS: Final = ("none", *BUDGETS)

_ALWAYS_THINKS: Final = re.compile(r"-(?:fable|mythos)-")
"""Families that have never been without their thoughts."""
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?![\d.])")


def version(name: str) -> tuple[int, int] | None:
    """Of claude-sonnet-4-5-20250929, (4, 5); of claude-3-7-sonnet, (3, 7); else None."""
    match = _VERSION.search(name)
    return None if match is None else (int(match[1]), int(match[2] or 0))


def thinking_off(name: str) -> Mapping[str, Any] | None:
    """What keeps from thinking a model that does so unless it is told not to (5 on); {} where
    nothing need be said, None where nothing can keep it: it thinks least at low effort.
    """
    generation = version(name)
    if generation is None or generation < (5, 0):
        return {}
    if generation > (5, 5) or _ALWAYS_THINKS.search(name):
        return None
    if generation < (5, 5) or "-haiku-" in name:
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {"type": "between_tools"}} if "-sonnet-" in name else None


def refuse_forced_tool(name: str, mode: str | None) -> None:
    """Raises InvalidRequest where a model that cannot be made to call a tool would have to: it
    would answer with status 400 (Fable and Mythos from 5.1 on, Opus and Sonnet from 5.5 on).
    """
    generation = version(name) or (0, 0)
    can_refuse_tools = (
        generation < ((5, 1) if _ALWAYS_THINKS.search(name) else (5, 5)) or "-haiku-" in name
    )
    if mode in {"any", "tool"} and not can_refuse_tools:
        raise InvalidRequest(
            "tool_choice: this model cannot be made to call a tool", param="tool_choice"
        )


def adaptive_effort(effort: str, *, xhigh: bool) -> str:
    """The effort of models that decide themselves how much to think (4.6 on)."""
    if effort == "minimal":
        return "low"
    return "max" if effort == "xhigh" and not xhigh else effort


def thinking_budget(effort: str, limit: int, *, forced: bool, thoughts_missing: bool) -> int | None:
    """Tokens to think with.

    It is a hint, so it gives way where a budget cannot be had: the limit is too small, a tool is
    forced, or the last answer called tools and its thoughts did not come back with it.
    """
    tokens = min(BUDGETS[effort], limit // 2)
    return None if tokens < MIN_BUDGET or forced or thoughts_missing else tokens


def is_thinking(config: Any) -> bool:
    """Whether a `thinking` of the Messages API asks for any."""
    return isinstance(config, Mapping) and config.get("type") != "disabled"


def thinks_with_forced_tool(generation: tuple[int, int] | None, *, bedrock: bool) -> bool:
    """Whether a model that thinks by effort may do so where a tool is forced upon it.

    With Anthropic itself all may (its page "Thinking with tool use", and a recorded answer of
    4.6); at Bedrock those from 4.8 on (langchain-ai/langchain-aws#1141 and #1151). With a budget
    of tokens no model may, anywhere.
    """
    return not bedrock or generation is None or not (4, 6) <= generation < (4, 8)


def conflicts_with_forced_tool(config: Any, *, forced: bool, adaptive: bool) -> bool:
    """Whether a client's own `thinking` would be refused for a forced tool; `adaptive` says
    whether that is allowed beside one.
    """
    if not forced or not is_thinking(config):
        return False
    return not (adaptive and config.get("type") == "adaptive")


def sampling(fields: Mapping[str, Any], *, none: bool, both: bool) -> dict[str, Any]:
    """The temperature (0 to 1: above is 1), top_p and top_k, as far as the model takes them.

    None of them goes with thinking, and models from 4.7 on take none (`none`). From 4.1 on only
    one of temperature and top_p is taken (not `both`): the one that is not its default,
    temperature first.
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
"""Fields of the Messages API that its body at Bedrock and at Vertex AI does not have."""
_FETCHED_SOURCES: Final = frozenset({"url", "file"})
"""Sources of images and documents that only Anthropic itself fetches."""


def refuse_anthropic_only(fields: Mapping[str, Raw], who: str) -> None:
    """Raises InvalidRequest, naming the field, for what a Messages body can say to Anthropic and
    to nobody else. Sources: Anthropic's pages on Bedrock, Vertex AI, the Files API and the MCP
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


def _needs_fetch(value: Any) -> Iterator[bool]:
    """Whether each block, in the content of messages and of tools' results, is to be fetched."""
    for each in value if isinstance(value, list) else ():
        if isinstance(each, Mapping):
            source = each.get("source")
            yield isinstance(source, Mapping) and source.get("type") in _FETCHED_SOURCES
            yield each.get("type") == "container_upload"
            yield from _needs_fetch(each.get("content"))
