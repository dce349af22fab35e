"""The names of spans' attributes: one table from our keys to OpenTelemetry's names.

Names, and the well-known providers, are those of the semantic conventions at SCHEMA_URL: sections
generative AI, HTTP, server. What they do not define begins with `tollgate.`
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway.core.snapshot import AzureAuth, GoogleAuth, Provider

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
CONVENTIONS: Final[Mapping[str, str]] = {
    # a call to a provider
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "asked_model": "gen_ai.request.model",
    "stream": "gen_ai.request.stream",
    "max_tokens": "gen_ai.request.max_tokens",
    "choices": "gen_ai.request.choice.count",
    "finish": "gen_ai.response.finish_reasons",
    "response_id": "gen_ai.response.id",
    "first_token_s": "gen_ai.response.time_to_first_chunk",
    "prompt": "gen_ai.usage.input_tokens",
    "completion": "gen_ai.usage.output_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "host": "server.address",
    "port": "server.port",
    "error": "error.type",
    # a request to us
    "method": "http.request.method",
    "http_route": "http.route",
    "status": "http.response.status_code",
    "scheme": "url.scheme",
    "path": "url.path",
    # words, where they are sent
    "asked": "gen_ai.input.messages",
    "answer": "gen_ai.output.messages",
}
OURS: Final[Mapping[str, str]] = {
    "request": "tollgate.request.id",
    "tenant": "tollgate.tenant",
    "route": "tollgate.route",
    "key": "tollgate.key.id",
    "model": "tollgate.model",
    "via": "tollgate.provider",
    "tier": "tollgate.tier",
    "purpose": "tollgate.purpose",
    "outcome": "tollgate.outcome",
    "reason": "tollgate.reason",
    "cost": "tollgate.cost_usd",
    "held": "tollgate.held_usd",
    "counted": "tollgate.usage.counted",
    "from": "tollgate.from",
    "to": "tollgate.to",
    "failed": "tollgate.checks.failed",
    "rungs": "tollgate.plan.rungs",
    "skipped": "tollgate.plan.skipped",
    "scope": "tollgate.budget.scope",
    "cache": "tollgate.cache",
}
NAMES: Final[Mapping[str, str]] = {**CONVENTIONS, **OURS}
TAG: Final = "tollgate.tag."
REQUEST_FIELDS: Final[Mapping[str, str]] = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
}
"""Fields of a client's JSON that are numbers."""
INTEGERS: Final = frozenset({"seed"})
"""Those that are integers in the conventions; the others are doubles."""
_DIALECTS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "anthropic-vertex": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "bedrock-invoke": "aws.bedrock",
    "gemini": "gcp.gemini",
}
_HOSTS: Final[Mapping[str, str]] = {
    "openai.com": "openai",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "deepseek.com": "deepseek",
    "x.ai": "x_ai",
    "perplexity.ai": "perplexity",
    "cohere.com": "cohere",
    "cohere.ai": "cohere",
    "googleapis.com": "gcp.gen_ai",
}
"""Of the openai dialect, by the end of the host."""


def provider_name(provider: Provider) -> str:
    """Its name in the conventions; else its configured name."""
    if isinstance(provider.auth, AzureAuth):
        return "azure.ai.openai"
    if provider.dialect == "gemini" and isinstance(provider.auth, GoogleAuth):
        return "gcp.vertex_ai"
    if provider.dialect in _DIALECTS:
        return _DIALECTS[provider.dialect]
    host = f".{urlsplit(provider.base_url).hostname or ''}"
    known = (name for end, name in _HOSTS.items() if host.endswith(f".{end}"))
    return next(known, provider.name)
