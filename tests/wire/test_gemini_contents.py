"""OpenAI's messages as turns of Google's, and the signatures that must come back."""

import json
from typing import Any

import pytest
from msgspec import structs

from gateway.core.chat import Completion, Usage
from gateway.core.errors import InvalidRequest
from gateway.web.render import completion_body
from gateway.web.render_stream import ChunkWriter
from gateway.wire import gemini
from gateway.wire.signed_ids import PLACEHOLDER_SIGNATURE, split_id
from tests.wire.chats import chat
from tests.wire.gemini_answers import (
    JSON,
    SIGNATURE,
    TARGET,
    THIRD,
    answer,
    as_sse,
    body,
    call,
    called,
    calls,
    candidate,
    contents,
    read,
    result,
    user,
)

READS = structs.replace(TARGET, quirks=frozenset({"gs_uris"}))
MADE = {"functionCall": {"id": "c1", "name": "weather", "args": {}}}
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}}
IMAGE = {"inlineData": {"mimeType": "image/png", "data": "YQ=="}}


def turn(role: str, *parts: Any) -> JSON:
    said = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"role": role, "parts": said}


def response(value: Any, id_: str = "c1") -> JSON:
    return {"functionResponse": {"id": id_, "name": "weather", "response": value}}


def said(text: str) -> JSON:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([user("A")], [turn("user", "A")]),
        ([user("A"), user("B")], [turn("user", "A", "B")]),
        ([user("A"), {"role": "assistant", "content": "B"}, user([said("C"), said("")])],
         [turn("user", "A"), turn("model", "B"), turn("user", "C")]),
        ([user("A"), {"role": "assistant", "content": "", "refusal": "No."}],
         [turn("user", "A"), turn("model", "No.")]),
        ([user("A"), calls(call(), content="B"), result(), user("C")],
         [turn("user", "A"), turn("model", "B", MADE), turn("user", response({"result": "sunny"})),
          turn("user", "C")]),
        ([user("A"), calls(call(), call("c2")), result(), result("c2", '{"t": 1.0}')],
         [turn("user", "A"), turn("model", MADE, {"functionCall": {
             "id": "c2", "name": "weather", "args": {}}}),
          turn("user", response({"result": "sunny"}), response({"t": 1.0}, "c2"))]),
        ([calls(call()), result(content=[said("a"), said("b")])],
         [turn("model", MADE), turn("user", response({"result": "ab"}))]),
        ([calls(call()), result(content="[1]")],
         [turn("model", MADE), turn("user", response({"result": "[1]"}))]),
        ([calls(call()), result(content=None)],
         [turn("model", MADE), turn("user", response({"result": ""}))]),
        ([calls(call()), result(content=[said("see"), {"type": "image_url", "image_url": {
            "url": "data:image/png;base64,aGk="}}]), user("C")],
         [turn("model", MADE), turn("user", response({"result": "see"})),
          turn("user", {"inlineData": {"mimeType": "image/png", "data": "aGk="}}, "C")]),
        # A turn answers all calls at once: what results show stands after the last of them.
        ([calls(call(), call("c2")), result(content=[said("see"), SHOWN]),
          {"role": "system", "content": "Look"}, result("c2", content=[SHOWN]), user("C")],
         [turn("model", MADE, {"functionCall": {**MADE["functionCall"], "id": "c2"}}),
          turn("user", response({"result": "see"}), response({"result": ""}, "c2")),
          turn("user", IMAGE, IMAGE, "C")]),
        ([calls(call()), result(content=[SHOWN]), calls(call("c2")), result("c2")],
         [turn("model", MADE), turn("user", response({"result": ""})), turn("user", IMAGE),
          turn("model", {"functionCall": {**MADE["functionCall"], "id": "c2"}}),
          turn("user", response({"result": "sunny"}, "c2"))]),
        ([{"role": "tool", "tool_call_id": "x", "name": "weather", "content": "5"}],
         [turn("user", {"functionResponse": {"id": "x", "name": "weather",
                                             "response": {"result": "5"}}})]),
        ([{"role": "system", "content": "S"}], [turn("user", "S")]),
        ([{"role": "assistant", "content": "B", "reasoning_content": "Hm."}], [turn("model", "B")]),
    ],
)  # fmt: skip
def test_turns(messages: list[JSON], turns: list[JSON]) -> None:
    assert contents(*messages) == turns


def test_instructions_go_apart_in_their_order() -> None:
    messages = [{"role": "system", "content": "A"}, user(), {"role": "developer", "content": "B"}]
    found = body(messages=messages)
    assert found["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert found["contents"] == [turn("user", "Hi")]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/webp;base64,aGk="}},
         {"inlineData": {"mimeType": "image/webp", "data": "aGk="}}),
        ({"type": "image_url", "image_url": "https://x.org/a.PNG?b=1"},
         {"fileData": {"mimeType": "image/png", "fileUri": "https://x.org/a.PNG?b=1"}}),
        ({"type": "image_url", "image_url": {"url": "https://x.org/picture"}},
         {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.org/picture"}}),
        ({"type": "image_url", "image_url": {"url": "gs://b/a.heic"}},
         {"fileData": {"mimeType": "image/heic", "fileUri": "gs://b/a.heic"}}),
        ({"type": "image_url", "image_url": {"url": "https://youtu.be/x.y"}},
         {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x.y"}}),
        ({"type": "video_url", "video_url": {"url": "https://x.org/a"}},
         {"fileData": {"mimeType": "video/mp4", "fileUri": "https://x.org/a"}}),
        ({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
         {"inlineData": {"mimeType": "audio/mp3", "data": "aGk="}}),
        ({"type": "file", "file": {"file_data": "data:text/csv;base64,aGk="}},
         {"inlineData": {"mimeType": "text/csv", "data": "aGk="}}),
        ({"type": "file", "file": {"file_data": "aGk="}},
         {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}}),
        ({"type": "file", "file": {"file_data": "aGk=", "filename": "a.txt"}},
         {"inlineData": {"mimeType": "text/plain", "data": "aGk="}}),
        ({"type": "file", "file": {"file_id": "https://x.org/v1beta/files/1", "format": "a/b"}},
         {"fileData": {"mimeType": "a/b", "fileUri": "https://x.org/v1beta/files/1"}}),
        ({"type": "file", "file": {"file_id": "gs://b/a.mp4"}},
         {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/a.mp4"}}),
    ],
)  # fmt: skip
def test_media(part: JSON, sent: JSON) -> None:
    assert contents(user([part]), target=READS) == [turn("user", sent)]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"type": "image_url", "image_url": {"url": "gs://b/a.heic"}}, "image_url.url"),
        ({"type": "image_url", "image_url": "GS://b/a.heic"}, "image_url"),
        ({"type": "video_url", "video_url": {"url": " gs://b/a.mp4"}}, "video_url.url"),
        ({"type": "file", "file": {"file_id": "gs://b/a.mp4"}}, "file.file_id"),
        ({"type": "file", "file": {"file_data": "gs://b/a.mp4"}}, "file.file_data"),
    ],
)
def test_a_file_in_a_bucket_is_not_read_for_a_tenant_unless_its_provider_may(
    part: JSON, named: str
) -> None:
    """Google would read it with our own rights."""
    with pytest.raises(InvalidRequest, match="Cloud Storage") as refused:
        contents(user([{"type": "text", "text": "gs://b/a.heic"}, part]))
    assert refused.value.param == f"messages[0].content[1].{named}"


@pytest.mark.parametrize("name", ["fileUri", "file_uri"])
def test_nor_is_one_that_comes_as_an_earlier_answer(name: str) -> None:
    native = [{"functionResponse": {"parts": [{"fileData": {name: "gs://b/a"}}]}}]
    said = {"role": "assistant", "extra_content": {"google": {"server_tool_parts": native}}}
    with pytest.raises(InvalidRequest, match="Cloud Storage"):
        contents(user(), said, user())
    assert contents(user(), said, user(), target=READS)[1] == turn("model", *native)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"), ("Hi", "messages"), ([user("")], "messages"),
        ([5], "messages[0].role"), ([{"role": "robot"}], "messages[0].role"),
        ([user(5)], "messages[0].content"), ([user([5])], "messages[0].content[0]"),
        ([user([{"type": "hologram"}])], "messages[0].content[0]"),
        ([user([{"type": "text"}])], "messages[0].content[0].text"),
        ([user([{"type": "image_url", "image_url": {"url": "http://x.org/a.png"}}])],
         "messages[0].content[0].image_url.url"),
        ([user([{"type": "image_url", "image_url": {"url": "data:image/png,hi"}}])],
         "messages[0].content[0].image_url.url"),
        ([user([{"type": "file", "file": {"file_id": "file-123"}}])],
         "messages[0].content[0].file.file_id"),
        ([{"role": "system", "content": [{"type": "file", "file": {"file_data": "aGk="}}]}],
         "messages[0].content"),
        ([user(), result()], "messages[1].tool_call_id"),
        ([calls(call(id_=""))], "messages[0].tool_calls[0].id"),
        ([calls(call(arguments="[1]"))], "messages[0].tool_calls[0].function.arguments"),
        ([calls(call(arguments="{"))], "messages[0].tool_calls[0].function.arguments"),
        ([{"role": "assistant", "tool_calls": 5}], "messages[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": [{"id": "c"}]}], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "function_call": {}}], "messages[0].function_call"),
        ([{"role": "assistant", "audio": {"id": "a"}}], "messages[0].audio"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_by_its_place(messages: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        body(messages=messages)
    assert caught.value.param == param


def test_no_digit_of_an_argument_or_a_result_is_lost() -> None:
    wide = '{"a":12345678901234567890123,"b":1.10,"c":1e400}'
    messages = [user(), calls(call(arguments=wide)), result(content=wide)]
    sent = gemini.encode(chat(messages=messages), TARGET, stream=False).body
    assert sent.count(wide.encode()) == 2


@pytest.mark.parametrize("given", ["", "null", '""', None, {}])
def test_a_call_without_arguments(given: Any) -> None:
    assert contents(calls(call(arguments=given))) == [turn("model", MADE)]


def test_a_call_that_gemini_did_not_make_has_googles_own_signature() -> None:
    messages = [user(), calls(call(), call("c2")), result(), result("c2")]
    _, model, _ = contents(*messages, target=THIRD)
    assert [part.get("thoughtSignature") for part in model["parts"]] == [
        PLACEHOLDER_SIGNATURE,
        None,
    ]
    _, model, _ = contents(*messages, target=TARGET)
    assert [part.get("thoughtSignature") for part in model["parts"]] == [None, None]


def everything(message: JSON) -> JSON:
    """A client that sends an answer back as it came."""
    return message


def known(message: JSON) -> JSON:
    """A client that keeps the fields it knows."""
    return {
        "role": "assistant",
        "content": message["content"],
        "tool_calls": [call(c["id"], **c["function"]) for c in message["tool_calls"]],
    }


@pytest.mark.parametrize("client", [everything, known])
@pytest.mark.parametrize("given_id", [{}, {"id": "x1"}])
def test_a_signature_survives_its_journey(client: Any, given_id: JSON) -> None:
    first = {"functionCall": {"name": "weather", "args": {"city": "Rome"}, **given_id},
             "thoughtSignature": SIGNATURE}  # fmt: skip
    found = gemini.decode(
        200, {}, json.dumps(answer(candidate("Hm", first, called()))).encode(), TARGET
    )
    message = as_seen(found)
    results = [result(c["id"]) for c in message["tool_calls"]]
    _, model, responses = contents(user(), client(message), *results, target=THIRD)
    _, sent, second = model["parts"]
    assert sent["thoughtSignature"] == SIGNATURE
    assert "thoughtSignature" not in second
    assert sent["functionCall"]["args"] == {"city": "Rome"}
    ids = [each["functionCall"]["id"] for each in (sent, second)]
    assert ids == [each["functionResponse"]["id"] for each in responses["parts"]]
    assert ids[0] == given_id.get("id", split_id(message["tool_calls"][0]["id"])[0])


def test_what_the_provider_ran_comes_back_before_the_text() -> None:
    code = {"executableCode": {"code": "1+1"}}
    signed = {"text": "2", "thoughtSignature": SIGNATURE}
    found = gemini.decode(200, {}, json.dumps(answer(candidate(code, signed))).encode(), TARGET)
    assert contents(user(), as_seen(found)) == [turn("user", "Hi"), turn("model", code, signed)]


def test_a_signature_is_told_in_streams_too() -> None:
    """As it flows, and cut anew from an answer that was held until whole."""
    body = answer(candidate(called(thoughtSignature=SIGNATURE)))
    whole = gemini.decode(200, {}, json.dumps(body).encode(), TARGET)
    writer = ChunkWriter("gemini", request_id="r", created=1)
    flowing = b"".join(writer.delta(delta) for delta in read([as_sse(body)]))
    cut = b"".join(ChunkWriter("gemini", request_id="r", created=1).recut(whole))
    told = f'"extra_content":{{"google":{{"thought_signature":"{SIGNATURE}"}}}}'.encode()
    assert (flowing.count(told), cut.count(told)) == (1, 1)


def as_seen(completion: Completion) -> JSON:
    """The message as the gateway's client gets it."""
    written = completion_body(completion, "gemini", b"", usage=Usage(), request_id="r", created=1)
    message: JSON = json.loads(written)["choices"][0]["message"]
    return message
