"""What a request becomes: settings, tools, and what cannot be said."""

import json
from typing import Any

import pytest
from msgspec import structs

from gateway.core.errors import InvalidRequest
from gateway.wire import gemini
from gateway.wire.dialect import Target
from tests.wire.chats import chat
from tests.wire.gemini_answers import JSON, TARGET, THIRD, WEATHER, body, settings

SECOND = Target("gemini-2.0-flash", 8_192)
PRO = Target("gemini-2.5-pro", 8_192)
THIRD_PRO = Target("gemini-3-pro-preview", 8_192)
NEWEST = Target("gemini-flash-latest", 100_000)
GEMMA = Target("gemma-3-27b-it", 8_192)
DECLARED = {
    "name": "weather",
    "description": "Now",
    "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
AS_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}


@pytest.mark.parametrize(
    ("stream", "verb"),
    [(False, "generateContent"), (True, "streamGenerateContent?alt=sse")],
)
def test_where_it_goes(stream: bool, verb: str) -> None:
    call = gemini.encode(chat(), TARGET, stream=stream)
    assert call.path == f"/models/gemini-2.5-flash:{verb}"
    assert call.headers == {"content-type": "application/json"}


def test_the_key_goes_into_a_header() -> None:
    assert gemini.auth("k") == {"x-goog-api-key": "k"}


@pytest.mark.parametrize(
    ("asked", "limit"), [({}, 8_192), ({"max_tokens": 5}, 5), ({"max_tokens": 9_000}, 8_192)]
)
def test_the_limit_is_always_said(asked: JSON, limit: int) -> None:
    assert body(**asked)["generationConfig"]["maxOutputTokens"] == limit


@pytest.mark.parametrize(
    ("upstream", "stream", "limit"),
    [
        ("gemini-4-argon", False, 32_768),
        ("gemini-4-argon", True, 65_536),
        ("gemini-3.8-flash", False, 65_536),
    ],
)
def test_from_4_on_a_whole_answer_has_a_lower_limit(
    upstream: str, stream: bool, limit: int
) -> None:
    """Above it each request without `stream` is a 400."""
    call = gemini.encode(chat(), Target(upstream, 65_536), stream=stream)
    assert json.loads(call.body)["generationConfig"]["maxOutputTokens"] == limit


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, {}),
        ({"temperature": 1.5, "top_p": 0.5, "top_k": 40},
         {"temperature": 1.5, "topP": 0.5, "topK": 40}),
        ({"presence_penalty": 0.5, "frequency_penalty": -1},
         {"presencePenalty": 0.5, "frequencyPenalty": -1}),
        ({"presence_penalty": 0, "frequency_penalty": 0.0}, {}),
        ({"stop": "END"}, {"stopSequences": ["END"]}),
        ({"stop": ["A", ""]}, {"stopSequences": ["A"]}), ({"stop": []}, {}),
        ({"n": 3}, {"candidateCount": 3}), ({"n": 1}, {}),
        ({"seed": 7}, {"seed": 7}), ({"seed": 2**40 + 7}, {"seed": 7}),
        ({"logprobs": True, "top_logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
        ({"logprobs": True}, {"responseLogprobs": True}), ({"logprobs": False}, {}),
        ({"modalities": ["text"]}, {}),
        ({"modalities": ["text", "image"]}, {"responseModalities": ["TEXT", "IMAGE"]}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        ({"response_format": AS_SCHEMA},
         {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}),
        ({"generationConfig": {"mediaResolution": "LOW", "temperature": 2}, "temperature": 1},
         {"mediaResolution": "LOW", "temperature": 2}),
        ({"generationConfig": {"top_p": 0.5}, "top_p": 0.9}, {"topP": 0.5}),
    ],
)  # fmt: skip
def test_settings(asked: JSON, said: JSON) -> None:
    assert settings(**asked) == said


@pytest.mark.parametrize(
    ("target", "effort", "said"),
    [
        (TARGET, "none", {"thinkingBudget": 0}),
        (TARGET, "minimal", {"thinkingBudget": 1_024, "includeThoughts": True}),
        (TARGET, "low", {"thinkingBudget": 1_024, "includeThoughts": True}),
        (TARGET, "high", {"thinkingBudget": 4_096, "includeThoughts": True}),
        (PRO, "none", {"thinkingBudget": 128}),
        # A budget stays below the limit; Pro alone cannot be kept from thinking.
        (Target("gemini-2.5-flash", 1_100), "high",
         {"thinkingBudget": 550, "includeThoughts": True}),
        (Target("gemini-2.5-flash", 300), "high", {"thinkingBudget": 0}),
        (Target("gemini-2.5-pro", 300), "high", {"thinkingBudget": 150, "includeThoughts": True}),
        (Target("gemini-2.5-pro", 100), "high", {"thinkingBudget": 128, "includeThoughts": True}),
        (NEWEST, "medium", {"thinkingBudget": 8_192, "includeThoughts": True}),
        (NEWEST, "max", {"thinkingBudget": 24_576, "includeThoughts": True}),
        (THIRD, "none", {"thinkingLevel": "MINIMAL"}),
        (Target("gemini-3.7-flash", 9), "none", {"thinkingLevel": "LOW"}),
        (Target("gemini-3.8-flash", 9), "minimal",
         {"thinkingLevel": "LOW", "includeThoughts": True}),
        (Target("gemini-3.7-flash-lite", 9), "none", {"thinkingLevel": "MINIMAL"}),
        (THIRD, "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (THIRD, "xhigh", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (THIRD_PRO, "none", {"thinkingLevel": "LOW"}),
        (THIRD_PRO, "medium", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (Target("gemini-3.1-pro", 9), "medium",
         {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (SECOND, "high", None), (GEMMA, "high", None), (THIRD, None, None),
    ],
)  # fmt: skip
def test_effort(target: Target, effort: str | None, said: JSON | None) -> None:
    found = settings(target, reasoning_effort=effort)
    assert found == ({} if said is None else {"thinkingConfig": said})


@pytest.mark.parametrize(
    ("choice", "said", "names"),
    [
        (None, None, ["weather", "clock"]),
        ("auto", {"mode": "AUTO"}, ["weather", "clock"]),
        ("none", {"mode": "NONE"}, ["weather", "clock"]),
        ("required", {"mode": "ANY"}, ["weather", "clock"]),
        (CLOCK, {"mode": "ANY", "allowedFunctionNames": ["clock"]}, ["weather", "clock"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CLOCK]}},
         {"mode": "AUTO"}, ["clock"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CLOCK]}},
         {"mode": "ANY"}, ["clock"]),
    ],
)  # fmt: skip
def test_tools_and_the_choice_among_them(choice: Any, said: Any, names: list[str]) -> None:
    found = body(tools=[WEATHER, CLOCK], tool_choice=choice)
    (tool,) = found["tools"]
    assert [each["name"] for each in tool["functionDeclarations"]] == names
    assert found.get("toolConfig") == (said and {"functionCallingConfig": said})


def test_a_declaration() -> None:
    assert body(tools=[WEATHER])["tools"] == [{"functionDeclarations": [DECLARED]}]
    assert body(tools=[CLOCK])["tools"] == [
        {"functionDeclarations": [{"name": "clock", "description": ""}]}
    ]


@pytest.mark.parametrize("name", ["fileSearch", "retrieval"])
def test_data_is_not_searched_for_a_tenant_unless_its_provider_may(name: str) -> None:
    """Google would search the stores of our own account."""
    store = {"vertexAiSearch": {"datastore": "projects/p/locations/global/dataStores/hr"}}
    tools = [WEATHER, {"googleSearch": {}, name: store}]
    with pytest.raises(InvalidRequest, match="searches no data") as refused:
        body(tools=tools)
    assert refused.value.param == f"tools[1].{name}"
    reads = structs.replace(TARGET, quirks=frozenset({"gs_uris"}))
    assert body(reads, tools=tools)["tools"][0] == tools[1]


def test_tools_of_googles_own_and_its_own_fields_go_on() -> None:
    config = {"includeServerSideToolInvocations": True}
    found = body(
        tools=[{"googleSearch": {}}, WEATHER],
        tool_choice="auto",
        toolConfig=config,
        safetySettings=[{"category": "X"}],
        cachedContent="cachedContents/1",
        labels={"team": "a"},
    )
    assert found["tools"] == [{"googleSearch": {}}, {"functionDeclarations": [DECLARED]}]
    assert found["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}, **config}
    assert found["safetySettings"] == [{"category": "X"}]
    assert found["cachedContent"] == "cachedContents/1"
    assert found["labels"] == {"team": "a"}


@pytest.mark.parametrize(
    "form", [{"type": "json_object"}, AS_SCHEMA], ids=["json_object", "json_schema"]
)
def test_a_form_beside_tools_is_said_in_words_where_it_cannot_be_held_to(form: JSON) -> None:
    """Gemini 3 takes both; before, one rules the other out."""
    assert "responseMimeType" in settings(THIRD, tools=[WEATHER], response_format=form)
    found = body(tools=[WEATHER], response_format=form)
    assert "responseMimeType" not in found["generationConfig"]
    (said,) = found["systemInstruction"]["parts"]
    assert said["text"].startswith("Answer with one valid JSON object")
    assert (json.dumps(SCHEMA, separators=(",", ":")) in said["text"]) == (form is AS_SCHEMA)


@pytest.mark.parametrize("name", ["exaAiSearch", "mcpServers", "parallelAiSearch"])
def test_newer_tools_of_googles_own_go_on(name: str) -> None:
    assert body(tools=[{name: {"x": 1}}])["tools"] == [{name: {"x": 1}}]


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("functionCallingConfig", "streamFunctionCallArguments"),
        ("function_calling_config", "stream_function_call_arguments"),
    ],
)
def test_arguments_are_not_asked_for_in_pieces_that_make_no_json(config: str, name: str) -> None:
    calling = {"mode": "AUTO", name: True}
    asked = chat(tools=[WEATHER], toolConfig={config: calling})
    call = gemini.encode(asked, TARGET, stream=True)
    assert json.loads(call.body)["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    assert call.dropped == ("toolConfig.functionCallingConfig.streamFunctionCallArguments",)


@pytest.mark.parametrize(
    ("asked", "dropped"),
    [
        ({"user": "u", "store": True, "parallel_tool_calls": False, "logit_bias": {"1": 2}},
         ("logit_bias", "parallel_tool_calls", "store", "user")),
        ({"reasoning_effort": "low"}, ()), ({"reasoning_effort": "none"}, ()),
        ({"temperature": 0.5, "seed": 1, "tools": [WEATHER], "n": 2}, ()),
        ({"parallel_tool_calls": True, "store": False, "user": None}, ()),
        ({"logprobs": True, "top_logprobs": 2}, ()), ({"top_logprobs": 2}, ("top_logprobs",)),
        ({"nobody_knows": 1}, ("nobody_knows",)),
    ],
)  # fmt: skip
def test_what_is_dropped_is_told(asked: JSON, dropped: tuple[str, ...]) -> None:
    call = gemini.encode(chat(**asked), TARGET, stream=False)
    assert call.dropped == dropped
    assert not set(dropped) & set(json.loads(call.body))


@pytest.mark.parametrize("target", [SECOND, Target("gemini-2.5-flash", 300)])
def test_an_effort_without_thoughts_is_told(target: Target) -> None:
    call = gemini.encode(chat(reasoning_effort="high"), target, stream=False)
    assert call.dropped == ("reasoning_effort",)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"audio": {"voice": "x"}}, "audio"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"temperature": 3}, "temperature"), ({"temperature": "hot"}, "temperature"),
        ({"top_p": True}, "top_p"), ({"stop": 5}, "stop"), ({"seed": 1.5}, "seed"),
        ({"logprobs": True, "top_logprobs": 50}, "top_logprobs"),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"reasoning_effort": ["low"]}, "reasoning_effort"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": "json"}, "response_format"),
        ({"tools": "f"}, "tools"), ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]},
         "tools[0].function.parameters"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": CLOCK}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        *(({"generationConfig": {name: 9}}, f"generationConfig.{told}")
          for name, told in (
              ("candidateCount", "candidateCount"), ("candidate_count", "candidateCount"),
              ("max_output_tokens", "maxOutputTokens"), ("routingConfig", "routingConfig"),
              ("routing_config", "routingConfig"), ("modelSelectionConfig", "modelSelectionConfig"),
          )),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_by_name(asked: JSON, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        body(**asked)
    assert caught.value.param == param


def test_an_absurdly_deep_schema_is_refused() -> None:
    """Each definition is 60 deep, and leads to the next."""
    defs: JSON = {}
    for i in range(20):
        deep: JSON = {"$ref": f"#/$defs/D{i + 1}"}
        for _ in range(60):
            deep = {"items": deep}
        defs[f"D{i}"] = deep
    parameters = {"$defs": defs | {"D20": {"type": "string"}}, "$ref": "#/$defs/D0"}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    with pytest.raises(InvalidRequest, match="too deeply nested") as caught:
        body(tools=[tool])
    assert caught.value.param == "tools[0].function.parameters"
