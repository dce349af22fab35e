"""Claude at Vertex AI's `rawPredict`: the Messages API, but for the model and the version."""

import json
from typing import Any, Final

import pytest

from gateway.core.errors import (
    InvalidRequest,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    UpstreamError,
)
from gateway.wire import DIALECTS
from gateway.wire.dialect import Dialect, Target
from tests.recordings import recordings
from tests.wire.chats import assembled, chat

VERTEX: Final[Dialect] = DIALECTS["anthropic-vertex"]
ANTHROPIC: Final[Dialect] = DIALECTS["anthropic"]
CLAUDE: Final = Target("claude-haiku-4-5@20251001", 8_192)


@pytest.mark.parametrize(("stream", "verb"), [(False, "rawPredict"), (True, "streamRawPredict")])
def test_the_model_is_in_the_path_and_the_version_in_the_body(stream: bool, verb: str) -> None:
    asked = chat(temperature=0.5, seed=5)
    here = VERTEX.encode(asked, CLAUDE, stream=stream)
    there = ANTHROPIC.encode(asked, CLAUDE, stream=stream)
    assert here.path == f"/models/claude-haiku-4-5@20251001:{verb}"
    body: dict[str, Any] = json.loads(there.body)
    assert body.pop("model") == CLAUDE.upstream
    assert json.loads(here.body) == {"anthropic_version": "vertex-2023-10-16", **body}
    assert body.get("stream", False) is stream
    assert here.dropped == there.dropped == ("seed",)
    assert "anthropic-version" in there.headers
    assert here.headers == {"content-type": "application/json"}


def test_betas_stay_a_header() -> None:
    call = VERTEX.encode(chat(betas=["a-1", "b"]), CLAUDE, stream=False)
    assert call.headers["anthropic-beta"] == "a-1,b"


URL: Final = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
FILE: Final = {"type": "file", "file": {"file_id": "file_1"}}
PDF: Final = {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}}
UPLOAD: Final = {"type": "container_upload", "file_id": "file_1"}


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize("dialect", ["anthropic-vertex", "bedrock-invoke"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (said(URL), "messages"),
        (said(FILE), "messages"),
        (said(PDF), "messages"),
        (said(UPLOAD), "messages"),
        ({"messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": [URL]}]}, "messages"),
        ({"mcp_servers": [{"name": "m", "url": "https://x.test"}]}, "mcp_servers"),
        ({"container": "c1"}, "container"),
        ({"inference_geo": "global"}, "inference_geo"),
    ],
)  # fmt: skip
def test_what_only_anthropic_does_is_refused_by_name(
    dialect: str, fields: dict[str, Any], param: str
) -> None:
    assert ANTHROPIC.encode(chat(**fields), CLAUDE, stream=False).body
    with pytest.raises(InvalidRequest) as refused:
        DIALECTS[dialect].encode(chat(**fields), CLAUDE, stream=False)
    assert refused.value.param == param


@pytest.mark.parametrize("dialect", ["anthropic-vertex", "bedrock-invoke"])
def test_automatic_caching_is_dropped_and_the_marks_of_blocks_are_not(dialect: str) -> None:
    mark = {"type": "ephemeral"}
    asked = chat(
        cache_control=mark, seed=5, **said({"type": "text", "text": "a", "cache_control": mark})
    )
    call = DIALECTS[dialect].encode(asked, CLAUDE, stream=False)
    body = json.loads(call.body)
    assert "cache_control" not in body
    assert body["messages"][0]["content"][0]["cache_control"] == mark
    assert call.dropped == ("cache_control", "seed")
    assert ANTHROPIC.encode(asked, CLAUDE, stream=False).dropped == ("seed",)


def test_a_picture_is_sent_as_data() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    call = VERTEX.encode(chat(**said(picture)), CLAUDE, stream=False)
    [turn] = json.loads(call.body)["messages"]
    assert turn["content"][0]["source"]["data"] == "iVBO"


def test_a_token_is_a_bearers() -> None:
    assert VERTEX.auth("t") == {"authorization": "Bearer t"}


def test_answers_are_read_as_anthropics() -> None:
    answers = [each for each in recordings("anthropic") if each.status == 200]
    assert answers
    for each in answers:
        if each.streamed:
            decoders = (VERTEX.decoder(CLAUDE), ANTHROPIC.decoder(CLAUDE))
            first, second = (assembled([*d.feed(each.body), *d.finish()]) for d in decoders)
            assert first == second, each.file
        else:
            ours, theirs = (d.decode(200, {}, each.body, CLAUDE) for d in (VERTEX, ANTHROPIC))
            assert ours == theirs, each.file


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        # Google's own words, before Claude is reached.
        (401, {"error": {"code": 401, "message": "m", "status": "UNAUTHENTICATED"}}, Misconfigured),
        (403, {"error": {"code": 403, "message": "m", "status": "DENIED"}}, Misconfigured),
        (400, [{"error": {"code": 400, "message": "Publisher Model m is not servable in region r.",
                          "status": "FAILED_PRECONDITION"}}], Misconfigured),
        (400, {"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}, Rejected),
        (404, [{"error": {"code": 404, "message": "m", "status": "NOT_FOUND"}}], Misconfigured),
        (429, [{"error": {"code": 429, "message": "m", "status": "EXHAUSTED"}}], Throttled),
        (503, {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}, Overloaded),
        # Claude's.
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}},
         Rejected),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, Overloaded),
    ],
)  # fmt: skip
def test_errors(status: int, said: object, kind: type[UpstreamError]) -> None:
    with pytest.raises(kind):
        VERTEX.decode(status, {}, json.dumps(said).encode(), CLAUDE)
