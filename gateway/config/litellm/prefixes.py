"""LiteLLM's names of providers: what stands before the name of a model."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class Host(Struct, frozen=True):
    """`stanza` is a name in config/providers.yaml. `key` and `base` are the variables that
    LiteLLM reads where the configuration says nothing.
    """

    stanza: str
    key: str | None = None
    base: str | None = None
    local: str | None = None
    """Where it is while that variable is not set."""


_OLLAMA: Final = "http://localhost:11434"
HOSTS: Final[Mapping[str, Host]] = {
    "anthropic": Host("anthropic", "ANTHROPIC_API_KEY"),
    "azure": Host("azure", "AZURE_API_KEY", "AZURE_API_BASE"),
    "azure_ai": Host("azure-foundry", "AZURE_AI_API_KEY", "AZURE_AI_API_BASE"),
    "cerebras": Host("cerebras", "CEREBRAS_API_KEY"),
    "dashscope": Host("dashscope", "DASHSCOPE_API_KEY"),
    "databricks": Host("databricks", "DATABRICKS_API_KEY", "DATABRICKS_API_BASE"),
    "deepseek": Host("deepseek", "DEEPSEEK_API_KEY"),
    "fireworks_ai": Host("fireworks", "FIREWORKS_AI_API_KEY"),
    "gemini": Host("google-ai-studio", "GEMINI_API_KEY"),
    "groq": Host("groq", "GROQ_API_KEY"),
    "hosted_vllm": Host("vllm", None, "HOSTED_VLLM_API_BASE"),
    "huggingface": Host("huggingface", "HUGGINGFACE_API_KEY"),
    "llamafile": Host("llamacpp", None, "LLAMAFILE_API_BASE"),
    "lm_studio": Host("llamacpp", None, "LM_STUDIO_API_BASE"),
    "minimax": Host("minimax", "MINIMAX_API_KEY"),
    "mistral": Host("mistral", "MISTRAL_API_KEY"),
    "moonshot": Host("moonshot", "MOONSHOT_API_KEY"),
    "ollama": Host("ollama", None, "OLLAMA_API_BASE", _OLLAMA),
    "ollama_chat": Host("ollama", None, "OLLAMA_API_BASE", _OLLAMA),
    "openai": Host("openai", "OPENAI_API_KEY"),
    "openrouter": Host("openrouter", "OPENROUTER_API_KEY"),
    "perplexity": Host("perplexity", "PERPLEXITYAI_API_KEY"),
    "together_ai": Host("together", "TOGETHERAI_API_KEY"),
    "xai": Host("xai", "XAI_API_KEY"),
    "zai": Host("zai", "ZAI_API_KEY"),
}
_PREFIXES: Final = {
    "gpt-": "openai",
    "chatgpt-": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "claude-": "anthropic",
    "gemini-": "vertex_ai",
}
"""The provider of a model without a prefix, by how its name begins, as LiteLLM has it."""


def split_model(model: str, provider: str | None) -> tuple[str, str]:
    """The provider, "" where it is not known, and its name of the model."""
    prefix, _, rest = model.partition("/")
    if provider is not None:
        return provider, model.removeprefix(f"{provider}/")
    if rest:
        return prefix, rest
    return next((who for begin, who in _PREFIXES.items() if model.startswith(begin)), ""), model
