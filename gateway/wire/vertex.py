"""Claude on Vertex AI: bodies of the Messages API at Google's `rawPredict`.

The model is in the path and the version in the body. What only Anthropic's own API supports
(fetching URLs and files, MCP servers, containers) is refused by name. All else is the same.
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
"""Headers of Anthropic's own API that are not sent here."""


class RawPredict:
    """A dialect that wraps `messages`, the dialect of the Messages API."""

    def __init__(self, messages: Dialect) -> None:
        self._messages = messages

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
        """Raises InvalidRequest, naming the field, for what the API cannot express."""
        call = self._messages.encode(request, target, stream=stream)
        fields: dict[str, Any] = msgspec.json.decode(call.body, type=dict[str, Raw])
        claude.refuse_anthropic_only(fields, "Vertex AI")
        dropped = claude.drop_automatic_caching(fields, call.dropped)
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
            dropped=dropped,
        )

    def decode(
        self, status: int, headers: Mapping[str, str], body: bytes, target: Target
    ) -> Completion:
        """A whole answer. Raises UpstreamError for anything else. Header names are lower case."""
        return self._messages.decode(status, headers, body, target)

    def decoder(self, target: Target) -> StreamDecoder:
        """A decoder for a streamed answer with status 200."""
        return self._messages.decoder(target)

    def auth(self, api_key: str) -> Mapping[str, str]:
        """The header with an access token; without a key, one must first be fetched from Google."""
        return {"authorization": f"Bearer {api_key}"}
