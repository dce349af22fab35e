"""Translates between bytes and values, one package per wire format. No I/O of its own."""

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
