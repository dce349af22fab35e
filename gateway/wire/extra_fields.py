"""Fields of the answer and of its message that OpenAI does not have.

Anthropic and Bedrock use the same ones, so that a client knows them by one name.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from gateway.wire.citations import Annotation, annotations


class Collected:
    """Such fields of one answer, in order of arrival, and counts so far, for positions in it."""

    def __init__(self) -> None:
        self.thinking: list[Raw | Mapping[str, Any]] = []
        self.server: list[Raw] = []
        """Blocks of tools that ran at the provider, and unknown types."""
        self.citations: list[Raw] = []
        self.pages: list[Annotation] = []
        """Web citations as OpenAI's annotations."""
        self.text_length = 0
        """Characters of text so far."""
        self.tools = 0
        """Calls so far."""

    def extras(self) -> Mapping[str, Raw]:
        """Message fields beyond OpenAI's."""
        lists = {
            "thinking_blocks": self.thinking,
            "server_tool_blocks": self.server,
            "citations": self.citations,
        }
        fields = {
            name: Raw(msgspec.json.encode(blocks)) for name, blocks in lists.items() if blocks
        }
        return fields | annotations(self.pages)


def beside(**fields: Any) -> Mapping[str, Raw]:
    """The answer's own fields beyond OpenAI's; those that are None are left out."""
    return {
        name: Raw(msgspec.json.encode(value)) for name, value in fields.items() if value is not None
    }
