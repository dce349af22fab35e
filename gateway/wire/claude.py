"""Claude at whichever door: which generation a name tells, how it thinks and draws its words, and
what only Anthropic's own door takes. What was thought is in thoughts.py.

Sources: Anthropic's pages on adaptive thinking, effort, extended and preserved thinking, and the
migration guides for 4.6, 4.7, and each model of 5 and 5.5.
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

FORGIVING: Final = "thinking-binding-controls-2026-08-01"
"""What must be told beside `block_binding`: a name for `anthropic-beta`. Bedrock and Vertex AI take
it as well (BerriAI/litellm#41203)."""
BINDS: Final = (5, 1)
"""The first that holds a thought sent back against all that stood before it."""
_ALWAYS: Final = re.compile(r"-(?:fable|mythos)-")
"""Families that have never been without their thoughts."""
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?![\d.])")
_PREVIEW: Final = "claude-mythos-preview"
"""The only one that is called without a number; in what it takes it is one of 4.7."""


def version(name: str) -> tuple[int, int] | None:
    """Of claude-sonnet-4-5-20250929, (4, 5); of claude-3-7-sonnet, (3, 7); else None."""
    found = _VERSION.search(name)
    if found is None:
        return (4, 7) if _PREVIEW in name else None
    return int(found[1]), int(found[2] or 0)


def knows_xhigh(name: str) -> bool:
    """Whether it knows the effort between `high` and `max` (4.7 on)."""
    return (version(name) or (0, 0)) >= (4, 7) and _PREVIEW not in name


def thoughtless(name: str) -> Mapping[str, Any] | None:
    """What keeps from thinking a model that does so unless it is told not to (5 on); {} where
    nothing need be said, None where nothing can keep it: it thinks least at low effort.
    """
    found = version(name)
    if found is None or (found < (5, 0) and not _ALWAYS.search(name)):
        return {}
    if found > (5, 5) or _ALWAYS.search(name):
        return None
    if found < (5, 5) or "-haiku-" in name:
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {"type": "between_tools"}} if "-sonnet-" in name else None


def forgiving(config: Any) -> dict[str, Any] | None:
    """A `thinking` by which a model that binds its thoughts leaves out those that came after other
    words than stand before them now, where it would answer with status 400: clients shorten what
    was said, and strategies add what no client sees. None where that is said already, or cannot be:
    where thinking is off.
    """
    told = {"type": "adaptive"} if config is None else config
    if not isinstance(told, Mapping) or told.get("block_binding") is not None:
        return None
    if told.get("type") not in {"adaptive", "enabled"}:
        return None
    return {**told, "block_binding": {"prefix_mismatch_behavior": "drop_block"}}


def forced(name: str, mode: str | None) -> None:
    """Raises InvalidRequest where a model that cannot be made to call a tool would have to: it
    would answer with status 400 (Fable and Mythos from 5.1 on, Opus and Sonnet from 5.5 on).
    """
    found = version(name) or (0, 0)
    free = found < ((5, 1) if _ALWAYS.search(name) else (5, 5)) or "-haiku-" in name
    if mode in {"any", "tool"} and not free:
        raise InvalidRequest(
            "tool_choice: this model cannot be made to call a tool", param="tool_choice"
        )


def level(effort: str, *, xhigh: bool) -> str:
    """The effort of models that decide themselves how much to think (4.6 on)."""
    if effort == "minimal":
        return "low"
    return "max" if effort == "xhigh" and not xhigh else effort


def budget(effort: str, limit: int, *, forced: bool, thoughtless: bool) -> int | None:
    """Tokens to think with.

    It is a hint, so it gives way where a budget cannot be had: the limit is too small, a tool is
    forced, or the last answer called tools and its thoughts did not come back with it.
    """
    found = min(BUDGETS[effort], limit // 2)
    return None if found < MIN_BUDGET or forced or thoughtless else found


def thinks(config: Any) -> bool:
    """Whether a `thinking` of the Messages API asks for any."""
    return isinstance(config, Mapping) and config.get("type") != "disabled"


def thinks_forced(found: tuple[int, int] | None, *, bedrock: bool) -> bool:
    """Whether a model that thinks by effort may do so where a tool is forced upon it.

    With Anthropic itself all may (its page "Thinking with tool use", and a recorded answer of
    4.6); at Bedrock those from 4.8 on (langchain-ai/langchain-aws#1141 and #1151). With a budget
    of tokens no model may, anywhere.
    """
    return not bedrock or found is None or not (4, 6) <= found < (4, 8)


def too_forced(config: Any, *, forced: bool, adaptive: bool) -> bool:
    """Whether a client's own `thinking` would be refused for a forced tool; `adaptive` says
    whether that is allowed beside one.
    """
    if not forced or not thinks(config):
        return False
    return not (adaptive and config.get("type") == "adaptive")


def sampling(given: Mapping[str, Any], *, none: bool, both: bool) -> dict[str, Any]:
    """The temperature (0 to 1: above is 1), top_p and top_k, as far as the model takes them.

    None of them goes with thinking, and models from 4.7 on take none (`none`). From 4.1 on only
    one of temperature and top_p is taken (not `both`): the one that is not its default,
    temperature first.
    """
    found = {name: number(given, name) for name in ("temperature", "top_p", "top_k")}
    if none:
        return {}
    warmth = found["temperature"]
    if not both and None not in (warmth, found["top_p"]):
        found["temperature" if warmth == 1 and found["top_p"] != 1 else "top_p"] = None
    if found["temperature"] is not None:
        found["temperature"] = min(warmth, 1.0)
    return {name: value for name, value in found.items() if value is not None}


LACKS: Final = ("container", "inference_geo", "mcp_servers")
"""Fields of the Messages API that its body at Bedrock and at Vertex AI does not have."""
_FETCHED: Final = frozenset({"url", "file"})
"""Sources of images and documents that only Anthropic itself fetches."""


def sayable(fields: Mapping[str, Raw], who: str) -> None:
    """Raises InvalidRequest, naming the field, for what a Messages body can say to Anthropic and
    to nobody else. Sources: Anthropic's pages on Bedrock, Vertex AI, the Files API and the MCP
    connector; for URLs at Vertex AI, BerriAI/litellm#18430 and anthropic-sdk-typescript#1038.
    """
    for name in LACKS:
        if name in fields:
            raise InvalidRequest(f"{name}: {who} cannot do this", param=name)
    for name in ("system", "messages"):
        if name in fields and any(_fetched(msgspec.json.decode(fields[name]))):
            raise InvalidRequest(
                f"{name}: images and files must be base64 data: URLs; {who} fetches nothing",
                param=name,
            )


def _fetched(value: Any) -> Iterator[bool]:
    """Whether each block, in the content of messages and of tools' results, is to be fetched."""
    for each in value if isinstance(value, list) else ():
        if isinstance(each, Mapping):
            source = each.get("source")
            yield isinstance(source, Mapping) and source.get("type") in _FETCHED
            yield each.get("type") == "container_upload"
            yield from _fetched(each.get("content"))
