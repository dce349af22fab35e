"""Errors of the openai dialect: which of ours they are, and what is shown of them."""

import json
from typing import Any

import pytest

from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import openai
from gateway.wire.dialect import Target

TARGET = Target("gpt-x", 500)


def error(status: int, said: Any, **headers: str) -> UpstreamError:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(UpstreamError) as caught:
        openai.decode(status, named, body, TARGET)
    return caught.value


def said(message: str = "why", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def minimax(code: int, message: str = "why") -> dict[str, Any]:
    return {"choices": None, "base_resp": {"status_code": code, "status_msg": message}}


def invalid(kind: str, why: str, *steps: str | int) -> list[dict[str, Any]]:
    return [{"type": kind, "loc": ["body", *steps], "msg": why, "input": None}]


EXTRA = invalid("extra_forbidden", "Extra inputs are not permitted", "prompt_cache_key")
TOO_LONG = "This model's maximum context length is 8192 tokens."
CLASSES: list[tuple[int, Any, type[UpstreamError], int]] = [
    # status, body, class, the status a client would see
    (400, said(), Rejected, 400),
    (409, said(), Rejected, 409),
    (413, said(), Unsuitable, 413),
    (413, b"<html>", Unsuitable, 413),
    (422, said(), Rejected, 422),
    (400, said(code="context_length_exceeded"), Unsuitable, 400),
    (400, said(TOO_LONG), Unsuitable, 400),
    (413, said("Request too large for model x"), Unsuitable, 413),
    (400, said(code="content_filter"), Unsuitable, 400),
    (400, said(innererror={"code": "ResponsibleAIPolicyViolation"}), Unsuitable, 400),
    (400, said(code="tool_use_failed"), Unsuitable, 400),
    # Only this model, or this host, does not take it: another may.
    (400, said("'temperature' does not support 0.2 with this model"), Unsuitable, 400),
    (400, said("Unsupported value", code="unsupported_value"), Unsuitable, 400),
    (400, said("Unsupported parameter", code="unsupported_parameter"), Unsuitable, 400),
    (400, said("Unrecognized request argument: reasoning_effort"), Unsuitable, 400),
    (400, said("Unrecognized request argument supplied: tools"), Unsuitable, 400),
    (400, said("Unknown parameter: 'verbosity'.", code="unknown_parameter"), Unsuitable, 400),
    (400, said("property 'store' is unsupported, did you mean 'stop'?"), Unsuitable, 400),
    (400, {"error_code": "BAD_REQUEST", "message": 'json: unknown field "store"'}, Unsuitable, 400),
    (422, {"detail": "Extra inputs are not permitted"}, Unsuitable, 422),
    (400, said("Timeout while downloading [...]", code="invalid_image_url"), Unsuitable, 400),
    (400, said("unknown variant `input_audio`, expected `text`"), Unsuitable, 400),
    # The words of DeepSeek, xAI and z.ai for what is not to be said there
    (
        400,
        said("Content Exists Risk", type="invalid_request_error", code="invalid_request_error"),
        Unsuitable,
        400,
    ),
    (
        403,
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Content violates usage guidelines. Model: grok-4, Failed check: BIO",
        },
        Unsuitable,
        403,
    ),
    (
        400,
        said("System detected potentially unsafe or sensitive content", code="1301"),
        Unsuitable,
        400,
    ),
    (400, said("系统检测到输入或生成内容可能包含不安全或敏感内容", code="1301"), Unsuitable, 400),
    (
        424,
        {"error": "Request failed during generation: Server error", "error_type": "generation"},
        Faulty,
        502,
    ),
    (424, said(TOO_LONG), Unsuitable, 424),
    (498, said("Flex tier capacity exceeded", type="capacity_exceeded"), Overloaded, 502),
    (400, said("Budget has been exceeded!", type="budget_exceeded"), Misconfigured, 502),
    (
        429,
        said(
            "Request too large for gpt-4o in organization o on tokens per min (TPM): Limit 3,"
            " Requested 4.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        Unsuitable,
        429,
    ),
    (
        429,
        said(
            "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 3, Used 2, Requested 2",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        Throttled,
        502,
    ),
    # OpenRouter's
    (404, said("No endpoints found that support image input", code=404), Unsuitable, 404),
    (404, said('No endpoints found that support tool use. Try disabling "f".'), Unsuitable, 404),
    (404, said("No allowed providers are available for the selected model."), Unsuitable, 404),
    (404, said("No endpoints found for x/y:free."), Misconfigured, 502),
    (404, said("No endpoints found matching your data policy."), Misconfigured, 502),
    (400, said("Provider returned error", metadata={"raw": TOO_LONG}), Unsuitable, 400),
    (400, said("Provider returned error", metadata={"raw": {}}), Rejected, 400),
    (200, said("Provider returned error", code=400, metadata={"raw": TOO_LONG}), Unsuitable, 400),
    # Mistral's three forms of it
    (422, {"detail": EXTRA}, Unsuitable, 422),
    (422, {"object": "error", "message": {"detail": EXTRA}, "code": None}, Unsuitable, 422),
    (422, {"object": "Error", "detail": EXTRA, "message": EXTRA, "code": 3001}, Unsuitable, 422),
    (422, {"detail": invalid("extra_forbidden", "Autre", "x") * 99}, Unsuitable, 422),
    (422, {"detail": invalid("missing", "Field required", "messages", 0, "role")}, Rejected, 422),
    (422, {"detail": [7, {"msg": None}], "message": {}}, Rejected, 422),
    (400, said("The model `m` does not support image input"), Unsuitable, 400),
    (200, said("with this model", code="unsupported_value"), Unsuitable, 400),
    (400, said("Your request exceeded model token limit: 8192 (requested: 9000)"), Unsuitable, 400),
    (400, said("Range of input length should be [1, 129024]"), Unsuitable, 400),
    (400, said("Prompt exceeds max length", code="1261"), Unsuitable, 400),
    (
        422,
        said("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens"),
        Unsuitable,
        422,
    ),
    (422, said("`inputs` must have less than 1024 tokens. Given: 1500"), Unsuitable, 422),
    (400, said("prompt token count of 9000 exceeds the limit of 8192"), Unsuitable, 400),
    (400, said("Input tokens exceed the configured limit of 272000 tokens."), Unsuitable, 400),
    (
        400,
        said("Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens)."),
        Unsuitable,
        400,
    ),
    (
        400,
        said("The decoder prompt (length 9000) is longer than the maximum model length of 8192."),
        Unsuitable,
        400,
    ),
    (400, {"message": "max tokens of 200000 exceeded"}, Unsuitable, 400),
    (400, said("Requests with max_tokens > 4096 must have stream=true"), Unsuitable, 400),
    (400, said("tool_choice 'specified' is incompatible with thinking enabled"), Unsuitable, 400),
    (400, said("This response_format type is unavailable now"), Unsuitable, 400),
    (400, said("m is not a multimodal model"), Unsuitable, 400),
    (400, said("At most 1 image(s) may be provided in one request."), Unsuitable, 400),
    (400, said("Conversation roles must alternate user/assistant/..."), Unsuitable, 400),
    (400, said('"auto" tool choice requires --enable-auto-tool-choice and'), Unsuitable, 400),
    (
        400,
        said("parameter.enable_thinking must be set to false for non-streaming calls"),
        Unsuitable,
        400,
    ),
    # What is wrong with the request itself, or with our account, is not.
    (429, said("Insufficient balance or no resource package.", code="1113"), Misconfigured, 502),
    (429, said("余额不足或无可用资源包,请充值。", code="1113"), Misconfigured, 502),
    (429, said("suspended", type="exceeded_current_quota_error"), Misconfigured, 502),
    (
        429,
        {
            "code": "Some resource has been exhausted",
            "error": "Your team t has either used all available credits or reached its limit.",
        },
        Misconfigured,
        502,
    ),
    (400, said("Unknown Model, please check the model code.", code="1211"), Misconfigured, 502),
    (400, said("模型不存在，请检查模型代码。", code="1211"), Misconfigured, 502),  # noqa: RUF001
    (400, {"code": "invalid argument", "error": "Model not found: grok-9"}, Misconfigured, 502),
    (400, said("The model requires terms.", code="model_terms_required"), Misconfigured, 502),
    (
        400,
        said("The chatCompletion operation does not work", code="OperationNotSupported"),
        Misconfigured,
        502,
    ),
    (400, said("Missing parameter: 'x'", code="missing_required_parameter"), Rejected, 400),
    (400, said("Invalid value: 'x'", code="invalid_value"), Rejected, 400),
    (400, said("You uploaded an unsupported image.", code="invalid_image_format"), Rejected, 400),
    (403, said("You have no access to this model"), Misconfigured, 502),
    (403, said(code="unsupported_country_region_territory"), Misconfigured, 502),
    (400, said("API key not valid."), Misconfigured, 502),
    (
        400,
        said("Access denied, [...] account is in good standing.", code="Arrearage"),
        Misconfigured,
        502,
    ),
    (
        400,
        said("Organization has been restricted.", code="organization_restricted"),
        Misconfigured,
        502,
    ),
    (
        400,
        said("The model `m` has been decommissioned and is no longer supported."),
        Misconfigured,
        502,
    ),
    (400, said("no", code="model_decommissioned"), Misconfigured, 502),
    (400, said("m is not a valid model ID", code=400), Misconfigured, 502),
    (400, said("Model Not Exist"), Misconfigured, 502),
    (400, said("Invalid model: m", type="invalid_model"), Misconfigured, 502),
    (412, said("Account a is suspended, possibly due to [...]"), Misconfigured, 502),
    (401, said(), Misconfigured, 502),
    (402, said(), Misconfigured, 502),
    (403, said(), Misconfigured, 502),
    (404, said(), Misconfigured, 502),
    (410, {"error": "The model is deprecated and no longer supported"}, Misconfigured, 502),
    (429, said(), Throttled, 502),
    (429, said(code="insufficient_quota"), Misconfigured, 502),
    (429, said(type="insufficient_quota"), Misconfigured, 502),
    (408, said(), Faulty, 502),
    (500, said(), Faulty, 502),
    (504, b"<html>", Faulty, 502),
    (503, b"", Overloaded, 502),
    (529, said(), Overloaded, 502),
    (302, b"", Misconfigured, 502),
    (204, b"", Broken, 502),
    # errors inside a 200
    (200, said(code=429), Throttled, 502),
    (200, said(code="429"), Throttled, 502),
    (200, said(code=400), Rejected, 400),
    (200, said(code="rate_limit_exceeded"), Throttled, 502),
    (200, said(type="overloaded_error"), Overloaded, 502),
    (200, said(type="invalid_request_error"), Rejected, 400),
    (200, said(type="invalid_request_error", code="context_length_exceeded"), Unsuitable, 400),
    (200, said(type="authentication_error"), Misconfigured, 502),
    (200, said(code=7), Faulty, 502),
    (200, {"error": "no"}, Faulty, 502),
    (200, [said(code=503)], Overloaded, 502),
    (200, {"object": "error", "message": "no", "code": 400}, Rejected, 400),
    # MiniMax's
    (200, minimax(1000), Faulty, 502),
    (200, minimax(1002), Throttled, 502),
    (200, minimax(1004), Misconfigured, 502),
    (200, minimax(1008), Misconfigured, 502),
    (200, minimax(1027), Unsuitable, 400),
    (200, minimax(2013), Rejected, 400),
    (200, minimax(2013, "invalid params, context window exceeds limit"), Unsuitable, 400),
    (429, minimax(1002), Throttled, 502),
    (200, minimax(0), Broken, 502),
]


@pytest.mark.parametrize(("status", "body", "kind", "shown"), CLASSES)
def test_classes(status: int, body: Any, kind: type[UpstreamError], shown: int) -> None:
    caught = error(status, body)
    assert (type(caught), caught.status) == (kind, shown)


MESSAGES = [
    (said("why"), "why"),
    ({"error": "why"}, "why"),
    ({"detail": "why"}, "why"),
    ({"message": "why", "type": "x"}, "why"),
    ([said("why")], "why"),
    (
        {"detail": EXTRA * 2},
        "; ".join(["body.prompt_cache_key: Extra inputs are not permitted"] * 2),
    ),
    ({"message": {"detail": [{"msg": "why"}]}}, "body: why"),
    (said("No", metadata={"raw": "why"}), "No: why"),
    (said("No", metadata={"raw": ""}), "No"),
    (b"<html>secret page</html>", "the provider answered with status 400"),
    (b"", "the provider answered with status 400"),
    (said(""), "the provider answered with status 400"),
    (said("x" * 9_000), "x" * 500),
    (said("key sk-proj-abcdef123456 at https://x.test/keys?a=1 no"), "key [...] at [...] no"),
]


@pytest.mark.parametrize(("body", "message"), MESSAGES)
def test_messages(body: Any, message: str) -> None:
    assert str(error(400, body)) == message


def test_code_and_param_are_kept() -> None:
    caught = error(400, said(code="unsupported_value", param="messages[0].role"))
    assert (caught.upstream_code, caught.param) == ("unsupported_value", "messages[0].role")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "2", "retry_after_ms": "150"}, 0.15),
        ({"retry_after": "2", "retry_after_ms": "soon"}, 2.0),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "1e999"}, None),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wait: float | None) -> None:
    assert error(429, said(), **headers).retry_after == wait
