"""Claude on Vertex AI: bodies of the Messages API at Google's `rawPredict`.

The model stands in the path and the version in the body; what only Anthropic itself does (fetching
URLs and files, MCP servers, containers) is refused by name; all else is as at its own door.
Source: Anthropic, "Claude on Vertex AI"; the base URL ends in /publishers/anthropic.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, structs

from gateway.core.chat import ChatRequest, Completion
from gateway.wire import claude
from gateway.wire.dialect import Dialect, HttpCall, StreamDecoder, Target

VERSION: Final = "vertex-2023-10-16"
_ANTHROPIC_HEADERS: Final = frozenset({"anthropic-version", "x-api-key"})
"""Headers of Anthropic's own door."""


class RawPredict:
    """A dialect: `messages` is that of the Messages API, and knows nothing of Vertex."""

    def __init__(self, messages: Dialect) -> None:
        self._messages = messages

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
        """Raises InvalidRequest for what the API cannot say, naming the field."""
        call = self._messages.encode(request, target, stream=stream)
        fields: dict[str, Any] = msgspec.json.decode(call.body, type=dict[str, Raw])
        claude.refuse_anthropic_only(fields, "Vertex AI")
        del fields["model"]
        return structs.replace(
            call,
            path=f"/models/{target.upstream}:{'streamRawPredict' if stream else 'rawPredict'}",
            headers={
                name: value
                for name, value in call.headers.items()
                if name not in _ANTHROPIC_HEADERS
            },
            content=msgspec.json.encode({"anthropic_version": VERSION, **fields}),
        )

    def decode(
        self, status: int, headers: Mapping[str, str], body: bytes, target: Target
    ) -> Completion:
        """The answer; raises UpstreamError for anything else. Header names are lower case."""
        return self._messages.decode(status, headers, body, target)

    def decoder(self, target: Target) -> StreamDecoder:
        """For a streamed answer with status 200."""
        return self._messages.decoder(target)

    def auth(self, api_key: str) -> Mapping[str, str]:
        """The header that carries an access token; without one, Google's must be got."""
        return {"authorization": f"Bearer {api_key}"}
