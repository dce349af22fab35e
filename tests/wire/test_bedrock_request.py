"""What is asked of Converse, field by field."""

import json
from typing import Final

import pytest

from gateway.core.errors import InvalidRequest
from gateway.wire import bedrock
from gateway.wire.bedrock.models import Model, model
from gateway.wire.dialect import Target
from tests.wire.bedrock_streams import CLAUDE, JSON, LLAMA, NOVA, body
from tests.wire.chats import chat

GPT_OSS: Final = Target("openai.gpt-oss-120b-1:0", 8_192)
OPUS: Final = Target("us.anthropic.claude-opus-4-6-v1", 8_192)
NEWEST: Final = Target("anthropic.claude-opus-4-7", 8_192)
OLDEST: Final = Target("anthropic.claude-3-5-haiku-20241022-v1:0", 8_192)
THINKER: Final = Target("anthropic.claude-3-7-sonnet-20250219-v1:0", 8_192)
UNTOLD: Final = Target("arn:aws:bedrock:eu-west-1:0123:application-inference-profile/x1", 8_192)
WEATHER: Final[JSON] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SPEC: Final[JSON] = {
    "toolSpec": {
        "name": "weather",
        "description": "Now",
        "inputSchema": {"json": WEATHER["function"]["parameters"]},
    }
}
NAMED: Final = {"type": "function", "function": {"name": "weather"}}
SCHEMA: Final[JSON] = {"type": "object", "properties": {"a": {"type": "integer"}}}
CLOSED: Final[JSON] = SCHEMA | {"additionalProperties": False}


def made(target: Target, fields: JSON, *names: str) -> JSON:
    """Of the body, these fields."""
    return {name: value for name, value in body(target, **fields).items() if name in names}


def test_a_request_is_no_more_than_it_must_be() -> None:
    call = bedrock.encode(chat(), CLAUDE, stream=False)
    assert call.path == "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert call.headers == {"content-type": "application/json"}
    assert json.loads(call.body) == {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "inferenceConfig": {"maxTokens": 8_192},
    }
    streamed = bedrock.encode(chat(), CLAUDE, stream=True)
    assert streamed.path == f"{call.path}-stream"
    assert streamed.body == call.body


def test_an_arn_is_one_segment_of_the_path() -> None:
    arn = "arn:aws:bedrock:eu-west-1:0123:inference-profile/eu.anthropic.claude-sonnet-4-6"
    assert bedrock.encode(chat(), Target(arn, 9), stream=True).path == (
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A0123%3Ainference-profile%2Feu.anthropic"
        ".claude-sonnet-4-6/converse-stream"
    )


def test_a_key_is_a_bearer_token_and_without_one_calls_are_signed() -> None:
    assert bedrock.auth("k") == {"authorization": "Bearer k"}
    assert bedrock.auth("") == {}


INFERENCE: Final[list[tuple[Target, JSON, JSON]]] = [
    (CLAUDE, {"max_tokens": 5}, {"maxTokens": 5}),
    (CLAUDE, {"max_completion_tokens": 99_999}, {"maxTokens": 8_192}),
    (CLAUDE, {"temperature": 1.7}, {"maxTokens": 8_192, "temperature": 1.0}),
    (NOVA, {"temperature": 0, "top_p": 0.5}, {"maxTokens": 8_192, "temperature": 0, "topP": 0.5}),
    (NOVA, {"temperature": 1.7}, {"maxTokens": 8_192, "temperature": 1.0}),
    (CLAUDE, {"temperature": 0, "top_p": 0.5}, {"maxTokens": 8_192, "temperature": 0}),
    (CLAUDE, {"temperature": 1, "top_p": 0.5}, {"maxTokens": 8_192, "topP": 0.5}),
    (NEWEST, {"temperature": 0.5}, {"maxTokens": 8_192}),
    (CLAUDE, {"stop": "END"}, {"maxTokens": 8_192, "stopSequences": ["END"]}),
    (CLAUDE, {"stop": ["", "\n"]}, {"maxTokens": 8_192, "stopSequences": ["\n"]}),
    (CLAUDE, {"stop": []}, {"maxTokens": 8_192}),
]


@pytest.mark.parametrize(("target", "fields", "config"), INFERENCE)
def test_limits_sampling_and_stops(target: Target, fields: JSON, config: JSON) -> None:
    assert body(target, **fields)["inferenceConfig"] == config


def adaptive(effort: str) -> JSON:
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


def shown(effort: str) -> JSON:
    """From 4.7 on thinking is omitted unless it is asked for."""
    return adaptive(effort) | {"thinking": {"type": "adaptive", "display": "summarized"}}


def budget(tokens: int) -> JSON:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


FORCED: Final = {"tools": [WEATHER], "tool_choice": "required"}
OPUS_8: Final = Target("global.anthropic.claude-opus-4-8", 8_192)
ALONE: Final = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
ALWAYS: Final = Target("us.anthropic.claude-opus-5-5", 8_192)
ADDITIONAL: Final[list[tuple[Target, JSON, JSON | None]]] = [
    (CLAUDE, {"reasoning_effort": "low"}, budget(2_048)),
    (CLAUDE, {"reasoning_effort": "high"}, budget(4_096)),
    (CLAUDE, {"reasoning_effort": "none"}, None),
    (CLAUDE, {"reasoning_effort": "low", "max_tokens": 1_500}, None),
    (CLAUDE, {"reasoning_effort": "low", "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "It is"}]}, None),
    (CLAUDE, {"reasoning_effort": "low", "tools": [WEATHER], "tool_choice": "required"}, None),
    # Until 4.7 a forced tool rules thinking out here; the effort is still a hint.
    (OPUS, {"reasoning_effort": "low", **FORCED}, {"output_config": {"effort": "low"}}),
    (OPUS_8, {"reasoning_effort": "low", **FORCED}, shown("low")),
    (OPUS, {"thinking": {"type": "adaptive"}, **FORCED}, None),
    (OPUS, {"thinking": {"type": "disabled"}, **FORCED}, {"thinking": {"type": "disabled"}}),
    (OPUS_8, {"thinking": {"type": "adaptive"}, **FORCED}, {"thinking": {"type": "adaptive"}}),
    (CLAUDE, budget(2_000) | FORCED, None),
    (THINKER, {"reasoning_effort": "minimal"}, budget(1_024)),
    (OLDEST, {"reasoning_effort": "high"}, None),
    (Target("anthropic.claude-opus-5", 9), {"reasoning_effort": "none"},
        {"thinking": {"type": "disabled"}}),
    (ALWAYS, {"reasoning_effort": "none"}, {"output_config": {"effort": "low"}}),
    (OPUS, {"reasoning_effort": "minimal"}, adaptive("low")),
    (OPUS, {"reasoning_effort": "xhigh"}, adaptive("max")),
    (NEWEST, {"reasoning_effort": "xhigh"}, shown("xhigh")),
    (GPT_OSS, {"reasoning_effort": "medium"}, {"reasoning_effort": "medium"}),
    (GPT_OSS, {"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}),
    (NOVA, {"reasoning_effort": "minimal"},
        {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
    (NOVA, {"reasoning_effort": "high"},
        {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}),
    (LLAMA, {"reasoning_effort": "high"}, None),
    (UNTOLD, {"reasoning_effort": "high"}, None),
    (CLAUDE, {"thinking": {"type": "enabled", "budget_tokens": 5}, "reasoning_effort": "low"},
        budget(5)),
    (NOVA, {"thinking": {"type": "enabled", "budget_tokens": 5}}, None),
    (CLAUDE, {"top_k": 4}, {"top_k": 4}),
    (NOVA, {"top_k": 4}, {"inferenceConfig": {"topK": 4}}),
    (LLAMA, {"top_k": 4}, None),
    (CLAUDE, {"betas": ["a-1", "b"]}, {"anthropic_beta": ["a-1", "b"]}),
    (CLAUDE, {"tools": [WEATHER], "parallel_tool_calls": False}, ALONE),
    (CLAUDE, {"tools": [WEATHER], "parallel_tool_calls": True}, None),
    (CLAUDE, {"parallel_tool_calls": False}, None),
    (NOVA, {"tools": [WEATHER], "parallel_tool_calls": False}, None),
    (CLAUDE, {"reasoning_effort": "low", "additionalModelRequestFields": {"x": 1}},
        budget(2_048) | {"x": 1}),
    (UNTOLD, {"additionalModelRequestFields": budget(7)}, budget(7)),
]  # fmt: skip


@pytest.mark.parametrize(("target", "fields", "additional"), ADDITIONAL)
def test_what_only_some_models_take(target: Target, fields: JSON, additional: JSON | None) -> None:
    assert body(target, **fields).get("additionalModelRequestFields") == additional


def test_thinking_and_sampling_rule_each_other_out() -> None:
    sent = body(CLAUDE, reasoning_effort="low", temperature=0.5, top_k=3)
    assert sent["inferenceConfig"] == {"maxTokens": 8_192}
    assert sent["additionalModelRequestFields"] == budget(2_048)


def test_bedrocks_own_fields_go_on_untouched() -> None:
    own = {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "standard"},
        "requestMetadata": {"team": "a"},
        "serviceTier": {"type": "flex"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "outputConfig": {"textFormat": {}},
    }
    assert made(CLAUDE, own, *own) == own


REFUSED: Final[list[tuple[JSON, str]]] = [
    ({"n": 2}, "n"),
    ({"logprobs": True}, "logprobs"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"audio": {"voice": "a"}}, "audio"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"function_call": {"name": "f"}}, "function_call"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": -1}, "temperature"),
    ({"stop": [1]}, "stop"),
    ({"reasoning_effort": "huge"}, "reasoning_effort"),
    ({"response_format": {"type": "yaml"}}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"tools": {}}, "tools"),
    ({"tools": [5]}, "tools[0]"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": "maybe"}, "tool_choice"),
    ({"betas": "a"}, "betas"),
    ({"betas": ["a,b"]}, "betas"),
    ({"additionalModelRequestFields": []}, "additionalModelRequestFields"),
    (
        {"additionalModelRequestFields": {"inferenceConfig": {"topK": 3, "max_new_tokens": 5_000}}},
        "additionalModelRequestFields.inferenceConfig.max_new_tokens",
    ),
    (
        {"additionalModelRequestFields": {"textGenerationConfig": {"maxTokenCount": 5_000}}},
        "additionalModelRequestFields.textGenerationConfig.maxTokenCount",
    ),
    ({"system": [{"image": {}}]}, "system"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_cannot_be_said_is_refused_by_name(fields: JSON, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        body(CLAUDE, **fields)
    assert refused.value.param == param


DROPPED: Final[list[tuple[Target, JSON, tuple[str, ...]]]] = [
    (CLAUDE, {"seed": 5, "logit_bias": {"1": 1}, "user": "u"}, ("logit_bias", "seed", "user")),
    (CLAUDE, {"temperature": 0.5, "top_p": 0.5, "stop": "x", "tools": [WEATHER]}, ("top_p",)),
    (NEWEST, {"temperature": 0.5}, ("temperature",)),
    (CLAUDE, {"tools": [WEATHER], "parallel_tool_calls": False}, ()),
    (NOVA, {"tools": [WEATHER], "parallel_tool_calls": False}, ("parallel_tool_calls",)),
    (NOVA, {"parallel_tool_calls": False}, ()),
    (LLAMA, {"reasoning_effort": "low", "top_k": 3}, ("reasoning_effort", "top_k")),
    (CLAUDE, {"reasoning_effort": "low", "temperature": 0.5}, ("temperature",)),
    (OPUS, {"reasoning_effort": "low", **FORCED}, ("reasoning_effort",)),
    (OPUS, {"thinking": {"type": "adaptive"}, **FORCED}, ("thinking",)),
    (OPUS_8, {"reasoning_effort": "low", **FORCED}, ()),
    (NOVA, {"thinking": {"type": "enabled"}, "betas": ["a"]}, ("betas", "thinking")),
    (CLAUDE, {"frequency_penalty": 0, "service_tier": "auto", "store": False}, ()),
    (
        NOVA,
        {"serviceTier": {"type": "priority"}, "performanceConfig": {"latency": "optimized"}},
        ("performanceConfig", "serviceTier"),
    ),
    (NOVA, {"serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "standard"}}, ()),
]


@pytest.mark.parametrize(("target", "fields", "names"), DROPPED)
def test_what_is_not_sent_is_told(target: Target, fields: JSON, names: tuple[str, ...]) -> None:
    assert bedrock.encode(chat(**fields), target, stream=False).dropped == names


def test_what_has_a_price_that_is_not_known_is_not_asked_for() -> None:
    dearer: JSON = {
        "serviceTier": {"type": "priority"},
        "performanceConfig": {"latency": "optimized"},
    }
    assert not dearer.keys() & body(NOVA, **dearer).keys()


FAMILIES: Final[list[tuple[str, Model]]] = [
    ("x1", Model()),
    ("arn:aws:bedrock:us-east-1:0:application-inference-profile/abc", Model()),
    ("us.meta.llama4-maverick-17b-instruct-v1:0", Model("meta", takes_thinking=False,
        mixes_text_and_tools=False, takes_result_status=False, caches=False, caches_tools=False)),
    ("amazon.titan-text-express-v1", Model("amazon", takes_thinking=False,
        mixes_text_and_tools=False, takes_result_status=False, caches=False, caches_tools=False)),
    ("us.amazon.nova-2-lite-v1:0", Model("amazon", takes_thinking=False, thinks="nova",
        caches_tools=False)),
    ("amazon.nova-pro-v1:0", Model("amazon", takes_thinking=False, caches_tools=False)),
    ("anthropic.claude-v2:1", Model("anthropic")),
    ("arn:aws:bedrock:us-east-1:0:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0",
        Model("anthropic", thinks="budget")),
    ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0",
        Model("anthropic", thinks="budget", both_samplers=False, schemas=True)),
    ("global.anthropic.claude-opus-4-7", Model("anthropic", thinks="adaptive",
        thinks_with_forced_tool=False, hides_thinking=True, xhigh=True, takes_sampling=False,
        both_samplers=False, schemas=True)),
    ("global.anthropic.claude-opus-4-8", Model("anthropic", thinks="adaptive",
        hides_thinking=True, xhigh=True, takes_sampling=False, both_samplers=False,
        schemas=True)),
    ("global.openai.gpt-5.6-terra", Model("openai", takes_thinking=False, encrypts_thinking=True,
        schemas=True, mixes_text_and_tools=False, caches=False, takes_result_status=False,
        caches_tools=False)),
    ("mistral.mistral-large-3-675b", Model("mistral", takes_thinking=False, schemas=True,
        mixes_text_and_tools=False, caches=False, takes_result_status=False, caches_tools=False)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_a_name_tells_what_a_model_accepts(name: str, family: Model) -> None:
    assert model(name) == family
