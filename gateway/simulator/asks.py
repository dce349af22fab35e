"""What is asked of a simulated model, whatever format it was asked in."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Fault(Exception):
    """A request that the provider refuses, or a failure that it shows. It is never billed."""

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
    """One request. `texts` is every text of its messages and system prompt: what is billed.

    `tools` are those the answer must choose from; none when it is to be text. `named` is the
    one that the client insists on. `limit` is in tokens.
    """

    model: str
    texts: tuple[str, ...]
    question: str
    """The text of the last message of the user that has any; tool results are none."""
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
    """How the format writes a tool call without arguments."""
