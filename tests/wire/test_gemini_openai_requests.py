"""OpenAI's recorded requests in Google's words: no field that the API would refuse."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from gateway.core.errors import InvalidRequest
from gateway.wire.dialect import Target
from tests.recordings import Recording, recordings
from tests.wire.gemini_answers import JSON, body
from tests.wire.test_gemini_recorded_requests import functions, sent
from tests.wire.test_gemini_recordings import RECORDED, name

DOCUMENTED: Final = {
    "candidateCount", "frequencyPenalty", "presencePenalty", "seed", "topP", "thinkingLevel",
    "$defs", "$ref", "anyOf", "items", "maxItems", "maximum", "minItems", "minimum", "prefixItems",
    "format",
}  # fmt: skip
"""Fields of the API, by its reference, that no recording happens to use."""
OPENAI: Final = [
    each
    for each in recordings("openai")
    if isinstance(each.request.get("body"), dict) and "messages" in each.request["body"]
]
REFUSED: Final[dict[str, str]] = {
    "chat__200__ai-gateway__4d65456d": "web_search_options",
    "chat__200__ai-gateway__8f06b7cd": "audio",
    "chat__200__openllmetry__70299be4": "functions",
    "chat__200__openllmetry__df875638": "functions",
    "chat__200__pydantic-ai__9a6dc424": "web_search_options",
    "chat__200__pydantic-ai__b7c442d1": "messages[3].content[0].file.file_id",
    "chat__400__ai-gateway__34577680": "messages",  # refused by OpenAI too, as are the next
    "chat__400__ai-gateway__b507044c": "messages",
    "chat__400__crewAI__a42267cb": "messages[1].content[0]",
    "chat__400__pydantic-ai__536be2e2": "web_search_options",
}
"""Recorded requests to OpenAI that Google's models cannot serve, and the field that says so."""


def keys(found: JSON) -> Iterator[str]:
    """Every field of the API's own in a body: not what is within arguments and results."""
    for key, value in found.items():
        yield key
        if key in {"args", "response", "schema"}:
            continue
        if key in {"parametersJsonSchema", "responseJsonSchema", "parameters", "responseSchema"}:
            yield from schema_keys(value)
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from keys(each)


def schema_keys(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        yield key
        inner: list[Any] = [value]
        if key in {"properties", "$defs"}:
            inner = list(value.values())
        elif isinstance(value, list):
            inner = value
        elif key == "enum":
            inner = []
        for each in inner:
            yield from schema_keys(each)


KNOWN: Final = {key for each in RECORDED for key in keys(sent(each))} | DOCUMENTED


def file_name(recording: Recording) -> str:
    return name(recording).rpartition("/")[2]


@pytest.mark.parametrize("upstream", ["gemini-2.0-flash", "gemini-2.5-pro", "gemini-3.1-pro"])
@pytest.mark.parametrize("recording", OPENAI, ids=file_name)
def test_a_request_to_openai_uses_only_fields_that_google_knows(
    recording: Recording, upstream: str
) -> None:
    asked = {k: v for k, v in recording.request["body"].items() if k not in {"model", "stream"}}
    try:
        made = body(Target(upstream, 8_192), **asked)
    except InvalidRequest as refused:
        param: str | None = refused.param
        unknown: set[str] = set()
    else:
        param = None
        unknown = set(keys(made)) - KNOWN
        declared = len(asked.get("tools") or ())
        assert len(functions(made)) == declared
    assert param == REFUSED.get(file_name(recording))
    assert unknown == set()
