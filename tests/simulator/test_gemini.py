"""The Gemini format, by its bytes."""

from typing import Any

import httpx
import pytest

from gateway.simulator import Served

ASK: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "2+2"}]}]
MODELS = "/v1beta/models"
CITY = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}}
TOOLS = [
    {
        "functionDeclarations": [
            {"name": "get_city", "parameters": CITY},
            {"name": "get_time", "parametersJsonSchema": {"type": "object"}},
        ]
    }
]
BOTH = [{"role": "user", "parts": [{"text": "get_city and get_time"}]}]

STREAM = (
    'data: {"candidates":[{"content":{"parts":[{"text":"2+2"}],"role":"model"},"index":0}],'
    '"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2,'
    '"promptTokensDetails":[{"modality":"TEXT","tokenCount":1}]},'
    '"modelVersion":"mid-right","responseId":"req_0000000001"}\r\n\r\n'
    'data: {"candidates":[{"content":{"parts":[{"text":" ="}],"role":"model"},"index":0}],'
    '"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3,'
    '"promptTokensDetails":[{"modality":"TEXT","tokenCount":1}]},'
    '"modelVersion":"mid-right","responseId":"req_0000000001"}\r\n\r\n'
    'data: {"candidates":[{"content":{"parts":[{"text":" 4."}],"role":"model"},"index":0}],'
    '"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3,'
    '"promptTokensDetails":[{"modality":"TEXT","tokenCount":1}]},'
    '"modelVersion":"mid-right","responseId":"req_0000000001"}\r\n\r\n'
    'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},'
    '"finishReason":"STOP","index":0}],'
    '"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3,'
    '"promptTokensDetails":[{"modality":"TEXT","tokenCount":1}]},'
    '"modelVersion":"mid-right","responseId":"req_0000000001"}\r\n\r\n'
)


async def post(
    http: httpx.AsyncClient, model: str = "mid-right", *, stream: bool = False, **fields: Any
) -> httpx.Response:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return await http.post(f"{MODELS}/{model}:{verb}", json={"contents": ASK} | fields)


async def test_the_bytes_of_a_stream(http: httpx.AsyncClient) -> None:
    got = await post(http, stream=True)
    assert got.text == STREAM
    assert got.headers["content-type"] == "text/event-stream"


async def test_a_whole_answer(http: httpx.AsyncClient) -> None:
    assert (await post(http)).json() == {
        "candidates": [
            {
                "content": {"parts": [{"text": "2+2 = 4."}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 1,
            "candidatesTokenCount": 2,
            "totalTokenCount": 3,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}],
        },
        "modelVersion": "mid-right",
        "responseId": "req_0000000001",
    }


def call(called: str, /, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": called, "args": args}}


@pytest.mark.parametrize(
    ("model", "calls"),
    [
        ("mid-right", [call("get_city", name="name"), call("get_time")]),
        (
            "mid-badtool",
            [
                call("get_city", INVALID_JSON='{"name": "name"'),
                call("get_time", INVALID_JSON="{"),
            ],
        ),
    ],
)
async def test_calls_come_whole_and_finish_with_stop(
    http: httpx.AsyncClient, model: str, calls: list[dict[str, Any]]
) -> None:
    whole = (await post(http, model, contents=BOTH, tools=TOOLS)).json()["candidates"]
    assert [(each["content"]["parts"], each["finishReason"]) for each in whole] == [(calls, "STOP")]
    stream = (await post(http, model, stream=True, contents=BOTH, tools=TOOLS)).text
    assert stream.count('"functionCall"') == 2
    assert stream.count('"finishReason":"STOP"') == 1


async def test_an_answer_without_a_word_has_no_parts_and_no_count(http: httpx.AsyncClient) -> None:
    for stream in (False, True):
        got = (await post(http, "mid-emptyanswer", stream=stream)).text
        assert '"candidates":[{"content":{"role":"model"},"finishReason":"STOP","index":0}]' in got
        assert "candidatesTokenCount" not in got


@pytest.mark.parametrize(
    ("settings", "text", "reason"),
    [
        ({"maxOutputTokens": 1}, "2+2 ", "MAX_TOKENS"),
        ({"max_output_tokens": 1}, "2+2 ", "MAX_TOKENS"),
        ({"stopSequences": [" ="]}, "2+2", "STOP"),
        ({"responseMimeType": "application/json"}, '{"answer": 4}', "STOP"),
        (
            {
                "responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT", "properties": {"result": {"type": "STRING"}}},
            },
            '{"result": "4"}',
            "STOP",
        ),
    ],
)
async def test_what_the_settings_ask_for(
    http: httpx.AsyncClient, settings: dict[str, Any], text: str, reason: str
) -> None:
    [candidate] = (await post(http, generationConfig=settings)).json()["candidates"]
    assert candidate["content"]["parts"] == [{"text": text}]
    assert candidate["finishReason"] == reason


async def test_candidates_are_billed_together(sim: Served, http: httpx.AsyncClient) -> None:
    settings = {"candidateCount": 3}
    whole = (await post(http, generationConfig=settings)).json()
    assert [each["index"] for each in whole["candidates"]] == [0, 1, 2]
    assert (await post(http, stream=True, generationConfig=settings)).text.count("STOP") == 3
    assert [each.completion_tokens for each in sim.bill.calls] == [6, 6]  # 3 times 8 bytes


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"mode": "AUTO"}, ["get_city", "get_time"]),
        ({"mode": "ANY", "allowedFunctionNames": ["get_time"]}, ["get_time"]),
        ({"mode": "NONE"}, []),
    ],
)
async def test_tool_choice(
    http: httpx.AsyncClient, config: dict[str, Any], names: list[str]
) -> None:
    chosen = {"functionCallingConfig": config}
    got = (await post(http, contents=BOTH, tools=TOOLS, toolConfig=chosen)).json()
    parts = got["candidates"][0]["content"]["parts"]
    assert [part["functionCall"]["name"] for part in parts if "functionCall" in part] == names


def said(*turns: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
    """Turns of user and model in turn, of one part or of several."""
    told = [turn if isinstance(turn, list) else [turn] for turn in turns]
    roles = ("user", "model") * len(told)
    return {"contents": [{"role": r, "parts": p} for r, p in zip(roles, told, strict=False)]}


def result(response: dict[str, Any]) -> dict[str, Any]:
    return {"functionResponse": {"name": "get_city", "response": response}}


HELLO = {"text": "x"}
CALL = call("get_city")


@pytest.mark.parametrize(
    ("response", "size"),
    [({"result": "Rome"}, 4), ({"city": "Rome", "at": 7}, 22), ({"result": 7}, 12)],
)
async def test_after_a_result_comes_text_and_all_text_is_counted(
    sim: Served, http: httpx.AsyncClient, response: dict[str, Any], size: int
) -> None:
    fields = said({"text": "2+2"}, CALL, result(response))
    system = {"parts": [{"text": "Be very kind"}]}
    got = (await post(http, **fields, tools=TOOLS, systemInstruction=system)).json()
    assert got["candidates"][0]["content"]["parts"] == [{"text": "2+2 = 4."}]
    assert sim.bill.calls[0].prompt_tokens == -(-(3 + 12 + size) // 4)


def tool(called: str) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": called}]}]}


def chosen(**config: Any) -> dict[str, Any]:
    return {"toolConfig": {"functionCallingConfig": config}}


SETTINGS = "generationConfig"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"contents": None}, "contents: contents is not specified"),
    ({"contents": []}, "contents: contents is not specified"),
    ({"messages": ASK}, 'Unknown name "messages": Cannot find field.'),
    ({SETTINGS: {"maxTokens": 1}}, "Unknown name \"maxTokens\" at 'generation_config'"),
    ({SETTINGS: {"maxOutputTokens": 0}}, "maxOutputTokens must be in the range"),
    ({SETTINGS: {"maxOutputTokens": "1"}}, "Invalid value at 'generation_config.maxOutputTokens'"),
    ({SETTINGS: {"temperature": 3}}, "temperature must be in the range [0, 2]"),
    ({"contents": [{"role": "user", "parts": []}]}, "contents[0].parts: contents.parts must not"),
    ({"contents": [{"role": "assistant", "parts": [HELLO]}]}, "Please use a valid role"),
    (said({"text": ""}), "contents[0].parts[0].data: required oneof field"),
    (said(HELLO | CALL), "contents[0].parts[0].data: required oneof field"),
    (said(HELLO, {"functionCall": {"name": "f", "args": "{}"}}), "functionCall.args'"),
    (said(HELLO, {"functionCall": {"args": {}}}), "functionCall.name: Name cannot be empty."),
    (said(HELLO, CALL, HELLO), "number of function response parts is equal to"),
    (said(HELLO, [CALL, CALL], result({})), "number of function response parts is equal to"),
    (said(HELLO, HELLO, result({})), "number of function response parts is equal to"),
    (
        {"contents": [{"role": "model", "parts": [CALL]}, said(result({}))["contents"][0]]},
        "function call turn comes immediately after a user turn",
    ),
    (tool("no spaces"), "Invalid function name."),
    (chosen(mode="ANY"), "Function calling config is set without function_declarations."),
    (
        tool("f") | chosen(mode="SOME"),
        "Invalid value at 'tool_config.function_calling_config.mode'",
    ),
    (tool("f") | chosen(mode="ANY", allowedFunctionNames=["g"]), "should be a subset"),
    (tool("f") | chosen(allowedFunctionNames=["f"]), "only accepted with the mode ANY"),
    (
        tool("f") | {SETTINGS: {"responseMimeType": "application/json"}},
        "Function calling with a response mime type: 'application/json' is unsupported",
    ),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=str)
async def test_a_refusal_costs_nothing(
    sim: Served, http: httpx.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    got = await post(http, **fields)
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert message in error["message"]
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


ARRAY = STREAM.replace("data: ", "").removesuffix("\r\n\r\n").replace("\r\n\r\n", "\n,\r\n")


async def test_without_alt_sse_a_stream_is_an_array(http: httpx.AsyncClient) -> None:
    path = f"{MODELS}/mid-right:streamGenerateContent"
    for query in ("", "?alt=json"):
        got = await http.post(path + query, json={"contents": ASK})
        assert got.text.replace("0000000002", "0000000001") == f"[{ARRAY}\n]\n"
        assert got.headers["content-type"] == "application/json; charset=UTF-8"


async def test_an_error_of_an_array_is_in_an_array(http: httpx.AsyncClient) -> None:
    path = f"{MODELS}/mid-throttle:streamGenerateContent"
    [said] = (await http.post(path, json={"contents": ASK})).json()
    assert (said["error"]["code"], said["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    whole = await post(http, "mid-throttle")
    assert whole.json() == said


@pytest.mark.parametrize(
    ("behaviour", "status", "kind"),
    [
        ("throttle", 429, "RESOURCE_EXHAUSTED"),
        ("error500", 500, "INTERNAL"),
        ("overloaded", 503, "UNAVAILABLE"),
    ],
)
async def test_errors(http: httpx.AsyncClient, behaviour: str, status: int, kind: str) -> None:
    for stream in (False, True):
        got = await post(http, f"mid-{behaviour}", stream=stream)
        error = got.json()["error"]
        assert (got.status_code, error["code"], error["status"]) == (status, status, kind)
        waits = [each["retryDelay"] for each in error.get("details", ()) if "retryDelay" in each]
        assert waits == (["1s"] if status == 429 else [])
