"""The provider that `azure/gpt-4o` means: its stanza, from the shipped ones."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.config.litellm.credentials import Credentials
from gateway.config.litellm.given import Notes, Section, reference, variable
from gateway.config.litellm.prefixes import HOSTS, Host, split_model
from gateway.config.litellm.retired import successor

_DUMMIES: Final = frozenset(
    ("none", "dummy", "empty", "fake", "fake-key", "anything", "not-needed", "no-key", "na", "x")
)
_AZURE_VERSION: Final = "2024-12-01-preview"
_COMPATIBLE: Final = {"dialect": "openai", "quirks": ["max_tokens", "no_developer_role"]}
"""Some server that speaks OpenAI's format, and is not OpenAI's."""
_COMPATIBLE_PREFIXES: Final = frozenset(("custom_openai", "litellm_proxy", "openai_like"))
_SERIES: Final = re.compile(r"^(responses|o_series|gpt5_series)/")
"""How LiteLLM is told to ask a model: no part of its name."""
_AZURE_PATH: Final = re.compile(r"/openai(/.*)?$")
_ENDPOINT: Final = re.compile(r"/chat/completions/?$")
_MESSAGES: Final = re.compile(r"/v1(/messages)?/?$")
_IS_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?", re.ASCII)
_BEDROCK_NAME: Final = re.compile(r"(.*?)/?(arn:.*|[^/]+)")
"""By which of Bedrock's ways, or where, and the name of the model or its ARN."""
_IS_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d", re.ASCII)
_AWS: Final = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "aws_profile_name": "profile",
}


class Target(Struct, frozen=True):
    """A model at its provider: `prefix` is theirs, `name` what we would call the stanza."""

    prefix: str
    name: str
    upstream: str
    stanza: dict[str, Any]


class TargetResolver:
    """Stanzas for entries. `shipped` are those of config/providers.yaml."""

    def __init__(
        self, shipped: Mapping[str, Mapping[str, Any]], credentials: Credentials, notes: Notes
    ) -> None:
        self._shipped = shipped
        self._credentials = credentials
        self._notes = notes
        self._secrets: dict[str, str] = {}

    def resolve(self, params: Section) -> Target | None:
        """None, and a note, when there is no way to ask it."""
        self._credentials.fill(params)
        model = params.text("model") or ""
        prefix, rest = split_model(model, params.text("custom_llm_provider"))
        if "*" in model:
            why = "a pattern is no model: write an entry for each model that is asked for"
            self._lose(params, f"{model}: {why}")
            return None
        if prefix == "bedrock":
            return self._bedrock(params, rest)
        if prefix in {"vertex_ai", "vertex_ai_beta"}:
            return self._vertex(params, rest)
        if prefix in _COMPATIBLE_PREFIXES:
            if not _names_base(params):
                self._lose(params, f"{prefix}: it has no api_base")
                return None
            prefix = "openai"
        host = HOSTS.get(prefix)
        if host is None:
            what = prefix or model or "it has no model"
            self._lose(params, f"{what}: no stanza is known for it; see docs/providers.md")
            return None
        rest = _SERIES.sub("", rest)
        if (instead := successor(prefix, rest)) is not None and not _names_base(params):
            rest, why = instead
            if not rest:
                self._lose(params, why)
                return None
            self._notes.add("changed", params.at("model"), why)
        if prefix == "azure":
            return self._azure(params, host, rest)
        return self._keyed(params, host, prefix, rest)

    def _lose(self, params: Section, why: str) -> None:
        self._notes.add("lost", params.path.removesuffix(".litellm_params"), why)

    def _keyed(self, params: Section, host: Host, prefix: str, rest: str) -> Target:
        """A provider with a key in a header, or without any."""
        stanza, name = self._ready_made(host.stanza), host.stanza
        base = self._base(params)
        if base is not None:
            base = _ENDPOINT.sub("", base) if prefix != "anthropic" else _MESSAGES.sub("", base)
        if base is not None and prefix == "openai" and not _is_at(base, "openai.com"):
            stanza, name = dict(_COMPATIBLE), "openai-compatible"
        if base is not None and prefix == "azure_ai" and _is_at(base, "services.ai.azure.com"):
            base = f"https://{urlsplit(base).hostname}/openai/v1"  # whichever of its APIs it was
        if base is not None:
            stanza["base_url"] = reference(base).rstrip("/")
        elif host.base is not None:
            default = f":-{host.local}" if host.local else ""
            stanza["base_url"] = f"${{{host.base}{default}}}"
        if base is not None or host.base is not None:
            stanza.pop("regions", None)
        self._key(params, stanza, host.key if name == host.stanza else None, name)
        return Target(prefix, name, rest, _in_order(stanza))

    def _base(self, params: Section) -> str | None:
        """Without a user, a password or a query: they may be secret, and have no place here."""
        base = params.text("api_base", "base_url")
        plain = base and re.sub(r"^(\w+://)[^/?#]*@|[?#].*$", r"\1", base)
        if plain != base:
            text = "its user, password or query is not copied: what is a key goes in api_key"
            self._notes.add("lost", params.at("api_base"), text)
        return plain

    def _azure(self, params: Section, host: Host, rest: str) -> Target:
        stanza = self._ready_made("azure")
        stanza.pop("regions", None)
        base = self._base(params) or f"os.environ/{host.base}"
        stanza["base_url"] = f"{_AZURE_PATH.sub('', reference(base)).rstrip('/')}/openai"
        if variable(base):
            text = f"{variable(base)} must be like https://x.openai.azure.com, without a path or /"
            self._notes.add("check", params.at("api_base"), text)
        version = params.text("api_version")
        if version and not variable(version) and not _IS_VERSION.fullmatch(version):
            text = f"{version} is of Azure's v1 API: {_AZURE_VERSION} is asked in its place"
            self._notes.add("changed", params.at("api_version"), text)
            version = None
        version_text = (
            reference(version) if version else f"${{AZURE_API_VERSION:-{_AZURE_VERSION}}}"
        )
        stanza["auth"] = {"azure": {"api_version": version_text}}
        self._key(params, stanza, host.key, "azure")
        return Target("azure", "azure", rest, _in_order(stanza))

    def _bedrock(self, params: Section, rest: str) -> Target:
        where = _BEDROCK_NAME.fullmatch(rest)
        route, upstream = (where[1], where[2]) if where else ("", rest)
        upstream = params.text("model_id") or upstream
        arn = upstream.split(":") if upstream.startswith("arn:") else []
        regions = [*arn[3:4], *filter(_IS_REGION.fullmatch, route.split("/"))]
        region = params.text("aws_region_name") or next(iter(regions), None)
        if region is None:
            text = "AWS_REGION_NAME says in which region, else us-west-2; AWS_REGION is not read"
            self._notes.add("check", params.at("aws_region_name"), text)
        region = reference(region) if region else "${AWS_REGION_NAME:-us-west-2}"
        endpoint = params.text("aws_bedrock_runtime_endpoint", "api_base")
        host = f"https://bedrock-runtime.{region}.amazonaws.com"
        stanza: dict[str, Any] = {"dialect": "bedrock"}
        stanza["base_url"] = host if endpoint is None else reference(endpoint).rstrip("/")
        if params.has("api_key"):
            self._key(params, stanza, "AWS_BEARER_TOKEN_BEDROCK", "bedrock")
            return Target("bedrock", "bedrock", upstream, stanza)
        auth = {"region": region}
        for theirs, ours in _AWS.items():
            value = params.text(theirs)
            if value is not None:
                auth[ours] = self._secret(params.at(theirs), value, theirs.upper())
        if ("access_key_id" in auth) != ("secret_access_key" in auth):
            for ours in ("access_key_id", "secret_access_key", "session_token"):
                auth.pop(ours, None)
            text = "half of a pair of keys: credentials are found as AWS's own tools find them"
            self._notes.add("changed", params.path, text)
        return Target("bedrock", "bedrock", upstream, {**stanza, "auth": {"aws": auth}})

    def _vertex(self, params: Section, rest: str) -> Target | None:
        claude = rest.startswith("claude")
        if "/" in rest or not (claude or rest.startswith("gemini")):
            self._lose(params, f"{rest}: of Vertex AI's models only Gemini and Claude can be asked")
            return None
        project, place = (
            reference(params.text(f"vertex_{key}", f"vertex_ai_{key}") or default)
            for key, default in (
                ("project", "os.environ/VERTEXAI_PROJECT"),
                ("location", "us-central1"),
            )
        )
        host_prefix = "" if place == "global" else f"{place}-"
        version, publisher = ("v1", "anthropic") if claude else ("v1beta1", "google")
        google: dict[str, Any] = {}
        credentials = params.text("vertex_credentials")
        if credentials is not None and credentials.lstrip().startswith("{"):
            text = "credentials are a file here: name it in auth.google.credentials"
            self._notes.add("lost", params.at("vertex_credentials"), text)
        elif credentials is not None:
            google["credentials"] = reference(credentials)
        return Target("vertex_ai", "vertex-claude" if claude else "vertex", rest, {
            "dialect": "anthropic-vertex" if claude else "gemini",
            "base_url": f"https://{host_prefix}aiplatform.googleapis.com/{version}/projects/{project}"
                        f"/locations/{place}/publishers/{publisher}",
            "auth": {"google": google},
        })  # fmt: skip

    def _ready_made(self, name: str) -> dict[str, Any]:
        keys = ("dialect", "base_url", "api_key", "auth", "regions", "quirks", "lacks")
        return {key: self._shipped[name][key] for key in keys if key in self._shipped[name]}

    def _key(self, params: Section, stanza: dict[str, Any], default: str | None, name: str) -> None:
        value = params.text("api_key")
        if value is not None and value.lower() in _DUMMIES and default is None:
            self._notes.add("changed", params.at("api_key"), "no key is sent: it is none")
        elif value is not None:
            own = default or f"{name.upper().replace('-', '_')}_API_KEY"
            stanza["api_key"] = self._secret(params.at("api_key"), value, own)
        elif default is not None:
            stanza["api_key"] = f"${{{default}}}"
        else:
            stanza.pop("api_key", None)

    def _secret(self, path: str, value: str, name: str) -> str:
        """A secret is never copied: it is a variable."""
        if variable(value) is None:
            stem, number = name, 1
            while self._secrets.setdefault(name, value) != value:
                number += 1
                name = f"{stem}_{number}"
            text = f"the secret is not copied: set the variable {name} to it"
            self._notes.add("check", path, text)
            return f"${{{name}}}"
        return reference(value)


def _names_base(params: Section) -> bool:
    return params.has("api_base") or params.has("base_url")


def _is_at(url: str, domain: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == domain or host.endswith(f".{domain}")


def _in_order(stanza: Mapping[str, Any]) -> dict[str, Any]:
    order = ("dialect", "base_url", "api_key", "auth", "regions", "quirks", "lacks")
    return {key: stanza[key] for key in order if key in stanza}
