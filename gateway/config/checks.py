"""Checks as they are written: a name, or a name with options."""

import warnings
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.config.alerts import Webhook
from gateway.config.scalars import (
    Count,
    Flag,
    Milliseconds,
    Name,
    Pattern,
    SqlDialect,
    enum_schema,
    invalid,
    invalid_hidden,
    json_schema,
    matching,
    one_of,
    pattern_schema,
)
from gateway.config.stanza import Stanza
from gateway.core.catalog import Check
from gateway.core.checks.grounding import QUOTATION
from gateway.core.checks.languages import LANGUAGES
from gateway.core.checks.options import ASK_MS, ON_FAILURE, option_fault
from gateway.core.checks.schema import usable


def _json_schema(value: object) -> str:
    if not isinstance(value, str):
        raise invalid("must be a JSON Schema written as one text, in quotes or after |")
    if not usable(value.encode("utf-8", "replace")):
        raise invalid_hidden(
            "must be a JSON Schema in JSON of at most 64 kB, without references to other documents"
        )
    return value


def _prose(value: object) -> str:
    """Lines of text."""
    if not isinstance(value, str) or not value.strip():
        raise invalid("must be a text")
    return value.strip()


JsonSchemaText = Annotated[
    str, BeforeValidator(_json_schema), json_schema({"type": "string", "minLength": 2})
]
Prose = Annotated[str, BeforeValidator(_prose), json_schema({"type": "string", "minLength": 1})]
Language = Annotated[str, BeforeValidator(one_of(LANGUAGES)), enum_schema(LANGUAGES)]
OnFailure = Annotated[str, BeforeValidator(one_of(ON_FAILURE)), enum_schema(ON_FAILURE)]
Identifier = Annotated[
    str,
    BeforeValidator(matching(r"[A-Za-z_][A-Za-z0-9_]*", "must be a name that Python allows")),
    pattern_schema("^[A-Za-z_][A-Za-z0-9_]*$"),
]


class NoOptions(Stanza):
    pass


class JsonOptions(Stanza):
    always: Flag = False
    """Whether to require JSON even if the request did not ask for it."""


class SqlOptions(Stanza):
    short: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 1}

    dialect: SqlDialect | None = None
    """One of sqlglot's dialects, such as postgres. Default: sqlglot's own."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        return {"dialect": value} if isinstance(value, str) else value


class _PatternOptions(Stanza):
    short: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 1}

    @classmethod
    def expand(cls, value: Any) -> Any:
        return {"pattern": value} if isinstance(value, str) else value


class CitationOptions(_PatternOptions):
    pattern: Pattern = r"\[\d+\]"
    """A Python regular expression for a citation."""


class RegexOptions(_PatternOptions):
    pattern: Pattern
    """A Python regular expression that must match in the answer."""


class CitesContextOptions(_PatternOptions):
    pattern: Pattern = QUOTATION
    """A Python regular expression for a citation. With a group, that part must occur in the
    request. Default: a quotation of 20 characters or more."""


class LanguageOptions(Stanza):
    short: ClassVar[dict[str, Any]] = {"enum": list(LANGUAGES)}

    language: Language | None = None
    """The language, such as `de`. Default: that of the request."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        return {"language": value} if isinstance(value, str) else value


class LengthOptions(Stanza):
    min_characters: Count | None = None
    """The fewest characters, at most 10,000,000."""
    max_characters: Count | None = None
    """The most characters, at most 10,000,000."""
    min_words: Count | None = None
    """The fewest words, at most 10,000,000."""
    max_words: Count | None = None
    """The most words, at most 10,000,000."""
    min_tokens: Count | None = None
    """The fewest tokens, at most 10,000,000. A token counts as four bytes."""
    max_tokens: Count | None = None
    """The most tokens, at most 10,000,000. A token counts as four bytes."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        why = option_fault("length", {name: value for name, value in self if value is not None})
        if why is not None:
            raise invalid_hidden(why.removeprefix("length").lstrip(": "))
        return self


class PythonOptions(Stanza):
    defines: Identifier | None = None
    """A function or class that the code must define."""


class _ExternalOptions(Stanza):
    timeout_ms: Milliseconds = ASK_MS
    """How long to wait for its verdict."""
    on_failure: OnFailure = ON_FAILURE[0]
    """What to do without a verdict: `skip` the check, or let the answer `pass` or `fail`."""


class WebhookOptions(_ExternalOptions):
    short: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 1}

    url: Webhook
    """Where answers are sent, as a POST of JSON. It may contain a secret, so it is never shown."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


class JudgeOptions(_ExternalOptions):
    model: Name
    """The judge: a route, a tier or a model."""
    rubric: Prose
    """What a good answer is, in words."""


with warnings.catch_warnings():
    # pydantic has a deprecated method of that name, which nobody here calls.
    warnings.filterwarnings("ignore", 'Field name "schema"')

    class SchemaOptions(Stanza):
        short: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 2}

        schema: JsonSchemaText | None = None  # type: ignore[assignment]
        """A JSON Schema, as one string. Default: that of the request's `response_format`."""
        fix: Flag = False
        """Whether to remove fences, prose and stray backslashes, so that the client gets clean
        JSON."""

        @classmethod
        def expand(cls, value: Any) -> Any:
            return {"schema": value} if isinstance(value, str) else value

    class _Shadowing(Stanza):
        schema: SchemaOptions | None = None  # type: ignore[assignment]
        """The answer is JSON that fits a schema. With `fix` it is cleaned."""


class OneCheck(_Shadowing):
    """A check's name, or its name with options: `complete`, `{regex: {pattern: ...}}`."""

    confidence: NoOptions | None = None
    """The model is told to end with `CONFIDENCE: HIGH` or `LOW`, and says HIGH. A weak signal."""
    not_refused: NoOptions | None = None
    """The answer is not a refusal."""
    complete: NoOptions | None = None
    """The answer was not cut off at its length limit."""
    not_empty: NoOptions | None = None
    """The answer has text or a tool call."""
    json_if_asked: JsonOptions | None = None
    """If the request asked for JSON, the answer is valid JSON and fits the schema."""
    tools_valid: NoOptions | None = None
    """Tool calls name declared tools and have arguments that fit."""
    sql: SqlOptions | None = None
    """The answer's SQL parses."""
    citation: CitationOptions | None = None
    """The answer cites something."""
    regex: RegexOptions | None = None
    """The answer matches a pattern."""
    cites_context: CitesContextOptions | None = None
    """Everything that the answer cites occurs in the request."""
    language: LanguageOptions | None = None
    """The answer is in the language of the request, or in a given one."""
    length: LengthOptions | None = None
    """The answer is neither too short nor too long."""
    python: PythonOptions | None = None
    """The answer's Python parses."""
    tool_known: NoOptions | None = None
    """Tool calls name declared tools."""
    webhook: WebhookOptions | None = None
    """Your own test runner accepts the answer. Called only if all other checks pass."""
    judge: JudgeOptions | None = None
    """Another model accepts the answer; its call has the purpose `audit`. Called only if all other
    checks pass."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) != 1:
            raise invalid_hidden("must name exactly one check")
        return {value: {}} if isinstance(value, str) else value

    def check(self) -> Check:
        name, options = next((n, o) for n, o in self if o is not None)
        return Check(name, {k: v for k, v in options if v is not None and v is not False})

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        ref = super().__get_pydantic_json_schema__(core, handler)
        definition = handler.resolve_ref_schema(ref)
        mapping = {**definition, "minProperties": 1, "maxProperties": 1}
        definition.clear()
        definition["anyOf"] = [{"enum": list(cls.model_fields)}, mapping]
        return ref
