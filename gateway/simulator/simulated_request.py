"""A request to a simulated model, independent of the wire format."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Fault(Exception):
    """A refused request or a simulated failure. It is never billed."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        *,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code


class Tool(Struct, frozen=True):
    """A tool that may be called; `schema` is the JSON Schema of its arguments."""

    name: str
    schema: Mapping[str, Any]


class SimulatedRequest(Struct, frozen=True):
    """One request. `texts` are all texts of its messages and system prompt: what is billed.

    `tools` are those that the answer must choose from; empty if it is to be text. `forced_tool` is
    the one that the client's tool_choice names. `limit` is the output limit in tokens.
    """

    model: str
    texts: tuple[str, ...]
    question: str
    """The text of the last user message that has any, tool results excluded."""
    stream: bool = False
    include_usage: bool = True
    n: int = 1
    limit: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    forced_tool: str | None = None
    parallel: bool = True
    wants_json: bool = False
    schema: Mapping[str, Any] | None = None
    no_arguments: str = "{}"
    """The `arguments` that the format has for a call without any."""
