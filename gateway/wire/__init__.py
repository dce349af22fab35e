"""Translate: bytes to values and back, a package for each wire format. No I/O; feed it bytes."""

from collections.abc import Mapping
from typing import Final

from gateway.wire import anthropic, bedrock, gemini, ollama, openai
from gateway.wire.dialect import Dialect
from gateway.wire.vertex import RawPredict

DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai": openai,
    "anthropic": anthropic,
    "anthropic-vertex": RawPredict(anthropic),
    "bedrock": bedrock,
    "bedrock-invoke": bedrock.Invoke(anthropic),
    "gemini": gemini,
    "ollama": ollama,
}
