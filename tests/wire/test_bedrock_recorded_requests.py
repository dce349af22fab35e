"""Recorded requests: Bedrock's said again through us, and OpenAI's in Bedrock's words."""

import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

import pytest

from gateway.core.errors import InvalidRequest
from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from tests.recordings import Recording, recordings
from tests.wire.bedrock_requests import LIMIT, as_openai, in_one_way, plain, said_as_messages
from tests.wire.bedrock_streams import JSON, body
from tests.wire.chats import chat

RECORDED: Final = recordings("bedrock")
CONVERSE: Final = [each for each in RECORDED if "/converse" in each.file]
INVOKE: Final = [
    each for each in RECORDED if "anthropic_version" in (each.request.get("body") or {})
]
UNSAYABLE: Final = {
    "converse__200__pydantic-ai__9c934200": "an earlier answer's server tool, and its result",
}


def file_name(recording: Recording) -> str:
    return recording.file.rpartition("/")[2].removesuffix(".json")


def upstream(recording: Recording) -> str:
    path: str = recording.request["url"].partition("/model/")[2]
    return unquote(path.rpartition("/")[0])


# ---- Converse


SAYABLE: Final = [each for each in CONVERSE if file_name(each) not in UNSAYABLE]


def test_nearly_all_recorded_requests_can_be_said_in_openais_words() -> None:
    assert (len(SAYABLE), len(CONVERSE)) == (59, 60)


@pytest.mark.parametrize("recording", SAYABLE, ids=file_name)
def test_a_recorded_request_is_sent_as_it_was(recording: Recording) -> None:
    sent = recording.request["body"]
    made = body(Target(upstream(recording), LIMIT, frozenset({"s3_uris"})), **as_openai(sent))
    assert plain(made) == plain(sent)


@pytest.mark.parametrize("recording", CONVERSE, ids=file_name)
def test_a_recorded_address_is_made_from_the_models_name(recording: Recording) -> None:
    stream = "converse-stream" in recording.file
    call = DIALECTS["bedrock"].encode(chat(), Target(upstream(recording), 9), stream=stream)
    assert recording.request["url"].endswith(call.path)


# ---- invoke, with bodies of the Messages API


@pytest.mark.parametrize("recording", INVOKE, ids=file_name)
def test_a_recorded_invocation_is_sent_as_it_was(recording: Recording) -> None:
    sent = recording.request["body"]
    stream = "invoke-stream" in recording.file
    target = Target(upstream(recording), sent["max_tokens"])
    fields = said_as_messages(sent)
    if "chatlas__3a5fbd2d" in recording.file:  # Bedrock refused it: a picture by its address
        with pytest.raises(InvalidRequest, match="base64 data: URLs"):
            DIALECTS["bedrock-invoke"].encode(chat(**fields), target, stream=stream)
        return
    call = DIALECTS["bedrock-invoke"].encode(chat(**fields), target, stream=stream)
    assert in_one_way(json.loads(call.body)) == in_one_way(sent)
    assert unquote(recording.request["url"]).endswith(unquote(call.path))


# ---- Requests to OpenAI


def keys(sent: JSON) -> Iterator[str]:
    """Every field of the API's own in a body: not what lies within inputs and schemas."""
    yield from sent
    for name in ("inferenceConfig", "additionalModelRequestFields", "toolConfig"):
        yield from (f"{name}.{key}" for key in sent.get(name, {}))
    for tool in sent.get("toolConfig", {}).get("tools", ()):
        yield from tool
        yield from (f"toolSpec.{key}" for key in tool.get("toolSpec", {}))
    blocks = [block for message in sent["messages"] for block in message["content"]]
    for block in blocks + sent.get("system", []):
        for kind, inner in block.items():
            yield kind
            yield from (f"{kind}.{key}" for key in (inner if isinstance(inner, dict) else ()))


DOCUMENTED: Final = {"additionalModelRequestFields.tool_choice"}
"""Fields that no recording happens to use: BerriAI/litellm#34347 shows this one accepted."""
KNOWN: Final = {key for each in CONVERSE for key in keys(each.request["body"])} | DOCUMENTED
OPENAI: Final = [
    each
    for each in recordings("openai")
    if isinstance(each.request.get("body"), dict) and "messages" in each.request["body"]
]
REFUSED: Final[dict[str, str]] = {
    "chat__200__ai-gateway__4d65456d": "web_search_options",
    "chat__200__ai-gateway__8f06b7cd": "audio",
    "chat__200__ai-gateway__9be3ff11": "messages[0].content[1].image_url.url",
    "chat__200__chatlas__42ef5499": "logprobs",
    "chat__200__logfire__dec15b46": "messages[0].content[1]",
    "chat__200__openllmetry__70299be4": "functions",
    "chat__200__openllmetry__7ef6187e": "messages[0].content[1].image_url.url",
    "chat__200__openllmetry__aa9ff7c4": "n",
    "chat__200__openllmetry__df875638": "functions",
    "chat__200__opentelemetry-python-c__363a2a7a": "n",
    "chat__200__pydantic-ai__036b13fd": "messages[3].content[1].image_url.url",
    "chat__200__pydantic-ai__37a0b506": "messages[3].content[1].image_url.url",
    "chat__200__pydantic-ai__9a6dc424": "web_search_options",
    "chat__200__pydantic-ai__b7c442d1": "messages[3].content[0].file.file_id",
    "chat__400__ai-gateway__34577680": "messages",
    "chat__400__ai-gateway__b507044c": "messages",
    "chat__400__crewAI__a42267cb": "messages[1].content[0]",
    "chat__400__openllmetry__72688745": "messages[0].content[1].image_url.url",
    "chat__400__pydantic-ai__536be2e2": "web_search_options",
    "chat__400__pydantic-ai__59d98154": "messages[3].content[0]",
}
"""Recorded requests to OpenAI that Bedrock cannot serve, and the field that says so."""


@pytest.mark.parametrize("recording", OPENAI, ids=file_name)
@pytest.mark.parametrize(
    "name", ["us.anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-pro-v1:0", "meta.llama3"]
)
def test_a_request_to_openai_uses_only_fields_that_bedrock_knows(
    recording: Recording, name: str
) -> None:
    asked = {k: v for k, v in recording.request["body"].items() if k not in {"model", "stream"}}
    try:
        made = body(Target(name, 8_192), **asked)
    except InvalidRequest as refused:
        param: str | None = refused.param
        unknown: set[str] = set()
    else:
        param = None
        unknown = set(keys(made)) - KNOWN
    assert param == REFUSED.get(file_name(recording))
    assert unknown == set()
