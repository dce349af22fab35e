"""The formats of models at other people's doors, by their bytes: Azure, Vertex AI, `invoke`."""

import json
from typing import Any

import httpx
import pytest

from gateway.simulator import Served
from tests.simulator.wires import events, messages, request

FILTERS = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}
PROMPT = [{"prompt_index": 0, "content_filter_results": FILTERS}]


async def post(
    http: httpx.AsyncClient, wire: str, /, *, streamed: bool, without: str = "", **more: Any
) -> httpx.Response:
    path, fields = request(wire, "mid-right", stream=streamed)
    return await http.post(path, json={k: v for k, v in fields.items() if k != without} | more)


async def test_azure_tells_what_its_filters_found(http: httpx.AsyncClient) -> None:
    whole = (await post(http, "azure", streamed=False)).json()
    assert whole["prompt_filter_results"] == PROMPT
    assert [each["content_filter_results"] for each in whole["choices"]] == [FILTERS]
    first, *chunks = events("azure", (await post(http, "azure", streamed=True)).content)
    assert first == {
        "choices": [], "created": 0, "id": "", "model": "", "object": "",
        "prompt_filter_results": PROMPT,
    }  # fmt: skip
    found = [each["content_filter_results"] for chunk in chunks for each in chunk["choices"]]
    assert found == [{}] * 5
    assert chunks[-1]["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("query", ["", "?alt=sse"])
async def test_azure_wants_a_version(sim: Served, http: httpx.AsyncClient, query: str) -> None:
    path, fields = request("azure", "mid-right", stream=False)
    got = await http.post(path.partition("?")[0] + query, json=fields)
    told = {"error": {"code": "404", "message": "Resource not found"}}
    assert (got.status_code, got.json(), sim.bill.calls) == (404, told, [])


async def test_vertex_tells_counts_only_at_the_end(http: httpx.AsyncClient) -> None:
    for wire in ("vertex", "vertex-array"):
        said = events(wire, (await post(http, wire, streamed=True)).content)
        counted = [list(each["usageMetadata"]) for each in said]
        assert counted == [["trafficType"]] * 3 + [
            [
                "promptTokenCount", "candidatesTokenCount", "totalTokenCount",
                "promptTokensDetails", "trafficType",
            ]
        ]  # fmt: skip
        assert all("createTime" in each for each in said)
        assert not any("index" in each for one in said for each in one["candidates"])


async def test_vertex_wants_a_role(http: httpx.AsyncClient) -> None:
    got = await post(http, "vertex", streamed=False, contents=[{"parts": [{"text": "2+2"}]}])
    assert (got.status_code, got.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert got.json()["error"]["message"] == "Please use a valid role: user, model."


async def test_claude_on_vertex_streams_as_anthropic_does(http: httpx.AsyncClient) -> None:
    got = await post(http, "anthropic-vertex", streamed=True)
    path, fields = request("anthropic", "mid-right", stream=True)
    own = await http.post(path, json=fields)
    assert got.text == own.text.replace("0000000002", "0000000001")
    assert got.headers["content-type"] == own.headers["content-type"]


async def test_the_chunks_of_invoke_hold_anthropics_events(http: httpx.AsyncClient) -> None:
    got = await post(http, "bedrock-invoke", streamed=True)
    assert got.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert {headers[":event-type"] for headers, _ in messages(got.content)} == {"chunk"}
    assert {tuple(json.loads(payload)) for _, payload in messages(got.content)} == {("bytes", "p")}
    said = events("bedrock-invoke", got.content)
    assert [each["type"] for each in said] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert said[-1]["amazon-bedrock-invocationMetrics"] == {
        "inputTokenCount": 4, "outputTokenCount": 3, "invocationLatency": 1, "firstByteLatency": 1,
    }  # fmt: skip
    whole = (await post(http, "bedrock-invoke", streamed=False)).json()
    assert whole["content"] == [{"type": "text", "text": "17*23 = 391."}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("wire", "fields", "message"),
    [
        (wire, *case)
        for wire in ("bedrock-invoke", "anthropic-vertex")
        for case in [
            ({"without": "anthropic_version"}, "anthropic_version: Field required"),
            ({"anthropic_version": "2023-06-01"}, "anthropic_version: Input should be '"),
            ({"model": "mid-right"}, "model: Extra inputs are not permitted"),
            ({"cache_control": {}}, "cache_control: Extra inputs are not permitted"),
            ({"without": "max_tokens"}, "max_tokens: Field required"),
        ]
    ]
    + [("bedrock-invoke", {"stream": True}, "stream: Extra inputs are not permitted")],
    ids=str,
)
async def test_what_invoke_and_predict_refuse(
    sim: Served,
    http: httpx.AsyncClient,
    wire: str,
    fields: dict[str, Any],
    message: str,
    stream: bool,
) -> None:
    got = await post(http, wire, streamed=stream, **fields)
    assert got.status_code == 400
    said = got.json()
    told = said["message"] if wire == "bedrock-invoke" else said["error"]["message"]
    assert told.startswith(message)
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/azure/openai/other", {"error": {"code": "404", "message": "Resource not found"}}),
        ("/bedrock/model/m/other", {"message": "The requested operation is not recognized by the "
                                    "service."}),
        ("/vertex/v1/other", {"error": {"code": 404, "message": "POST /vertex/v1/other is not "
                                        "found.", "status": "NOT_FOUND"}}),
        ("/groq/v1/other", {"error": {"message": "Invalid URL (POST /groq/v1/other)",
                                      "type": "invalid_request_error", "param": None,
                                      "code": None}}),
    ],
)  # fmt: skip
async def test_an_unknown_path_is_told_in_the_providers_words(
    http: httpx.AsyncClient, path: str, said: dict[str, Any]
) -> None:
    got = await http.post(path, json={})
    assert (got.status_code, got.json()) == (404, said)
