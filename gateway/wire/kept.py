"""What an answer says beside its text and its calls: fields of the message that OpenAI has not.

The same ones of Anthropic and of Bedrock, so that a client knows them by one name.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from gateway.wire.citations import Annotation, annotations


class Kept:
    """Of one answer, in the order in which it came; and how much had come, for places in it."""

    def __init__(self) -> None:
        self.thinking: list[Raw | Mapping[str, Any]] = []
        self.server: list[Raw] = []
        """Blocks of tools that ran at the provider, and what is newer than this."""
        self.citations: list[Raw] = []
        self.pages: list[Annotation] = []
        """Those citations that are of pages, as OpenAI tells them."""
        self.said = 0
        """Characters of text so far."""
        self.tools = 0
        """Calls so far."""

    def extras(self) -> Mapping[str, Raw]:
        found = {
            "thinking_blocks": self.thinking,
            "server_tool_blocks": self.server,
            "citations": self.citations,
        }
        told = {name: Raw(msgspec.json.encode(blocks)) for name, blocks in found.items() if blocks}
        return told | annotations(self.pages)


def beside(**named: Any) -> Mapping[str, Raw]:
    """The answer's own fields that OpenAI has not, as far as they are told."""
    return {
        name: Raw(msgspec.json.encode(each)) for name, each in named.items() if each is not None
    }
