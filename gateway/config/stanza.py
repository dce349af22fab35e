"""What every mapping of the configuration has in common."""

import ast
import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from textwrap import dedent
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.config.tree import EMPTY


class Stanza(BaseModel):
    """A mapping that knows all its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    later: ClassVar[frozenset[str]] = frozenset()
    """Keys that a later version will know."""
    short: ClassVar[dict[str, Any] | None] = None
    """JSON Schema of a short form, which `expand` writes out."""
    stand_ins: ClassVar[Mapping[str, str]] = {}
    """What mends it where an optional key has no sound value; see mend.py."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        return value

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        return cls.expand({} if value is EMPTY else value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        ref = handler(core)
        definition = handler.resolve_ref_schema(ref)
        # The class docstrings are for us; the fields' are for users.
        definition.pop("description", None)
        definition.pop("title", None)
        docs = field_docs(cls)
        for name, field in definition.get("properties", {}).items():
            field.pop("title", None)
            if name in docs:
                field["description"] = docs[name]
        if cls.short is not None:
            mapping = dict(definition)
            definition.clear()
            definition["anyOf"] = [cls.short, mapping]
        return ref


def field_docs(stanza: type[Stanza]) -> dict[str, str]:
    """The docstring below each of its fields, from its source. Only the JSON Schema asks for that:
    `use_attribute_docstrings` reads the source of all stanzas at each start, a tenth of its time.
    """
    docs: dict[str, str] = {}
    for each in reversed(stanza.__mro__):
        if issubclass(each, Stanza):
            with suppress(OSError):  # it was not written, but made
                docs |= _docs_in_source(dedent(inspect.getsource(each)))
    return docs


def _docs_in_source(source: str) -> dict[str, str]:
    """Of the source of a class: the text below each annotated name."""
    docs: dict[str, str] = {}
    [stanza] = ast.parse(source).body
    assert isinstance(stanza, ast.ClassDef)  # noqa: S101 - what else has a class for its source
    for field, below in pairwise(stanza.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = inspect.cleandoc(text)
            case _:
                pass
    return docs


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `Model`, `list[Model]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_in, get_args(annotation))), None)


def is_named_mapping(annotation: Any) -> bool:
    """Whether it is a mapping whose keys are names that the user chose."""
    return get_origin(annotation) is dict


def owner_of(spec: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """The model whose key `loc` ends in; None where that is a name the user chose."""
    owner: type[BaseModel] | None = spec
    chosen = False
    for step in loc[:-1]:
        if isinstance(step, int):
            continue
        if chosen:
            chosen = False
            continue
        field = owner.model_fields.get(step) if owner else None
        owner = model_in(field.annotation) if field else None
        chosen = field is not None and is_named_mapping(field.annotation)
    return None if chosen else owner


def without_nulls(part: Any, defs: Mapping[str, Any]) -> None:
    """Mends a JSON Schema in place. To pydantic a key that has no value is one that was left out,
    to us a fault; only a mapping that may be empty can be written so.
    """
    for inner in part.values() if isinstance(part, dict) else part:
        if isinstance(inner, dict | list):
            without_nulls(inner, defs)
    match part:
        case {"anyOf": [*forms, {"type": "null"}], "default": None}:
            del part["default"]
            if any(_may_be_empty(defs, form) for form in forms):
                return
            part["anyOf"] = forms
            if len(forms) == 1:
                del part["anyOf"]
                part.update({key: value for key, value in forms[0].items() if key != "default"})
        case _:
            pass


def with_nulls(part: Any, defs: Mapping[str, Any]) -> None:
    """Mends the others in place, for us: a mapping whose keys may all be left out may be written as
    its own key alone, whatever its default is.
    """
    for inner in part.values() if isinstance(part, dict) else part:
        if isinstance(inner, dict | list):
            with_nulls(inner, defs)
    if isinstance(part, dict):
        for kind in ("properties", "patternProperties"):
            for stanza in part.get(kind, {}).values():
                if "$ref" in stanza and _may_be_empty(defs, stanza):
                    stanza["anyOf"] = [{"$ref": stanza.pop("$ref")}, {"type": "null"}]


def _may_be_empty(defs: Mapping[str, Any], form: Mapping[str, Any]) -> bool:
    stanza = defs.get(form.get("$ref", "").rpartition("/")[2], {})
    forms = [form for form in stanza.get("anyOf", (stanza,)) if "properties" in form]
    return any({"required", "minProperties", "oneOf"}.isdisjoint(form) for form in forms)
