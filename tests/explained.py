"""Where we say something else than the vendor's SDK on purpose: why, and what exactly.

An explanation gives the one value that it explains, made from what the SDK says and what was
recorded. Any other value is a difference.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec import structs

from gateway.core.chat import Usage
from tests.recordings import Recording

JSON = dict[str, Any]
Says = Callable[[JSON, JSON, Recording], Any]
"""Of the SDK's understanding, ours, and the recording: the value of the field that is right."""


class Explanation(NamedTuple):
    why: str
    says: Says


def _content(want: JSON, got: JSON, recording: Recording) -> list[str]:
    """The text parts of a list; any other value as JSON."""
    return [
        "".join(part["text"] for part in content if part["type"] == "text")
        if isinstance(content := choice["content"], list)
        else json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        for choice in want["choices"]
    ]


def _finishes(want: JSON, got: JSON, recording: Recording) -> list[str]:
    return [
        choice["finish"] or ("tool_calls" if choice["tool_calls"] else "stop")
        for choice in want["choices"]
    ]


def _stop(want: JSON, got: JSON, recording: Recording) -> list[str]:
    return ["stop" if choice["finish"] == "eos" else choice["finish"] for choice in want["choices"]]


def _arguments(want: JSON, got: JSON, recording: Recording) -> list[list[JSON]]:
    return [
        [{**call, "arguments": call["arguments"] or "{}"} for call in choice["tool_calls"]]
        for choice in want["choices"]
    ]


def _ids(want: JSON, got: JSON, recording: Recording) -> list[list[JSON]]:
    """Ours, where the provider gave none: of our making, and one of its own for each call."""
    made = [call["id"] for choice in got["choices"] for call in choice["tool_calls"]]
    sound = len(set(made)) == len(made) and all(map(_MADE.fullmatch, made))
    found = iter(made if sound else ())
    return [
        [{**call, "id": call["id"] or next(found, None)} for call in choice["tool_calls"]]
        for choice in want["choices"]
    ]


def _for_the_client(want: JSON, got: JSON, recording: Recording) -> list[list[JSON]]:
    """Without the calls that the recorded bytes say ran at the provider."""
    theirs = set(_ran_there(recording))
    assert theirs, "no tool ran there"
    return [
        [
            {**call, "arguments": json.loads(call["arguments"])
             if isinstance(call["arguments"], str) else call["arguments"]}
            for call in choice["tool_calls"] if call["id"] not in theirs
        ]
        for choice in want["choices"]
    ]  # fmt: skip


def _ran_there(recording: Recording) -> Iterator[str]:
    if recording.body.startswith(b"{"):
        content = json.loads(recording.body)["output"]["message"]["content"]
        uses = [part["toolUse"] for part in content if "toolUse" in part]
    else:  # a stream, of which each such object is whole in one frame
        uses = [json.loads(found) for found in _USE.findall(recording.body)]
    for use in uses:
        if use.get("type") == "server_tool_use":
            yield use["toolUseId"]


def _all_that_is_billed(want: JSON, got: JSON, recording: Recording) -> Usage:
    """The provider's own sum without the prompt, and the thoughts that are missing in between."""
    assert recording.oracle is not None
    said: Usage = want["usage"]
    completion = recording.oracle["parsed"]["usage"]["total_tokens"] - said.prompt
    thought = completion - said.completion
    return structs.replace(said, completion=completion, reasoning=thought)


def _with_its_advisor(want: JSON, got: JSON, recording: Recording) -> Usage:
    """And what the recorded bytes say that the advisor took."""
    text, mark = recording.body.decode(), '"iterations":'
    rounds, _ = json.JSONDecoder().raw_decode(text, text.index(mark) + len(mark))
    [advice] = [each for each in rounds if each["type"] == "advisor_message"]
    said: Usage = want["usage"]
    return structs.replace(
        said,
        prompt=said.prompt + advice["input_tokens"],
        completion=said.completion + advice["output_tokens"],
    )


_MADE: Final = re.compile(r"call_[0-9a-f]{24}")
_USE: Final = re.compile(rb'"toolUse":(\{[^{}]*\})')

_EMPTY_ARGUMENTS: Final = Explanation("no arguments are {}: '' is not JSON", _arguments)
_NO_FINISH: Final = Explanation(
    "the provider gave no finish reason, or an empty one: it is inferred", _finishes
)
_EOS: Final = Explanation("'eos' is stop", _stop)
_THOUGHTS_APART: Final = Explanation(
    "the provider counts thoughts outside completion_tokens, and bills them", _all_that_is_billed
)
_ADVISED: Final = Explanation(
    "what an advisor said is billed, and counted beside the rest", _with_its_advisor
)
_NO_CALL_ID: Final = Explanation("the provider gave no id for the call: one is made", _ids)
_SERVER_TOOL: Final = Explanation(
    "a tool that ran at the provider is kept apart from those for the client", _for_the_client
)
_CONTENT_PARTS: Final = Explanation(
    "the SDK gives a list or an object as it is; we make text of it", _content
)

EXPLAINED: Final[Mapping[str, Mapping[str, Explanation]]] = {
    # a file, or how its name begins: {field: why we say something else than the SDK}
    "anthropic/messages__200__pydantic-ai__aff5a7c0": {"usage": _ADVISED},
    "openai/chat__200__llm__0402884c": {"finish": _NO_FINISH},  # recorded through OpenRouter
    "openai/chat__200__llm__2bba8181": {"tool_calls": _EMPTY_ARGUMENTS},  # likewise
    "bedrock/converse-stream__200__pydantic-ai__70f682d5": {"tool_calls": _SERVER_TOOL},
    "bedrock/converse__200__pydantic-ai__9c934200": {"tool_calls": _SERVER_TOOL},
    "bedrock/converse__200__pydantic-ai__a543f26f": {"tool_calls": _SERVER_TOOL},
    "cloudflare/": {"content": _CONTENT_PARTS},
    "databricks/": {"tool_calls": _EMPTY_ARGUMENTS},
    "gemini/chat__": {"tool_calls": _NO_CALL_ID, "usage": _THOUGHTS_APART},
    "mistral/": {"content": _CONTENT_PARTS},
    "snowflake/": {"finish": _NO_FINISH},
    "together/": {"finish": _EOS},
    "xai/": {"usage": _THOUGHTS_APART},
}
DIFFERENT: Final[Mapping[str, int]] = {
    "anthropic": 1, "bedrock": 3, "cloudflare": 3, "databricks": 4, "gemini": 8, "mistral": 2,
    "openai": 2, "snowflake": 9, "together": 1, "xai": 19,
}  # fmt: skip
"""How many files of a provider differ, each for an explained reason."""
