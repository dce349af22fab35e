"""Checks as they are written: a name, or a name with options."""

from typing import Any, ClassVar

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.config.scalars import Flag, Pattern, SqlDialect, unshown
from gateway.config.stanza import Stanza
from gateway.core.catalog import Check


class NoOptions(Stanza):
    pass


class JsonOptions(Stanza):
    always: Flag = False
    """Whether JSON is wanted even when the request did not ask for it."""


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
    """What a citation looks like: a Python regular expression."""


class RegexOptions(_PatternOptions):
    pattern: Pattern
    """What the answer must contain: a Python regular expression."""


class OneCheck(Stanza):
    """A check's name, or its name with options: `complete`, `{regex: {pattern: ...}}`."""

    confidence: NoOptions | None = None
    """The model is asked to end with `CONFIDENCE: HIGH` or `LOW`, and says high. A weak signal."""
    not_refused: NoOptions | None = None
    """The model did not decline."""
    complete: NoOptions | None = None
    """The answer was not cut at its length limit."""
    not_empty: NoOptions | None = None
    """There is a text or a tool call."""
    json_if_asked: JsonOptions | None = None
    """Valid JSON, and fitting the schema, when the request asked for it."""
    tools_valid: NoOptions | None = None
    """Tool calls name declared tools, with arguments that fit."""
    sql: SqlOptions | None = None
    """The answer's SQL parses."""
    citation: CitationOptions | None = None
    """The answer cites something."""
    regex: RegexOptions | None = None
    """The answer matches a pattern."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) != 1:
            raise unshown("must name exactly one check")
        return {value: {}} if isinstance(value, str) else value

    def check(self) -> Check:
        name, options = next((n, o) for n, o in self if o is not None)
        return Check(name, {k: v for k, v in options if v is not None and v is not False})

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = super().__get_pydantic_json_schema__(core, handler)
        whole = handler.resolve_ref_schema(found)
        mapping = {**whole, "minProperties": 1, "maxProperties": 1}
        whole.clear()
        whole["anyOf"] = [{"enum": list(cls.model_fields)}, mapping]
        return found
