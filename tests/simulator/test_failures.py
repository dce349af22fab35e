"""What no recording holds: each failure in each provider's words, in the middle of streams too.

The words are those of the providers' documentation of their errors.
"""

import json
from typing import Any

import httpx
import pytest

from gateway.simulator.hosts import HOSTS
from tests.simulator.wires import events, messages, request

WORDS = ("throttle", "error400", "error500", "error503", "error504", "overloaded")

# status and kind, by the words above
TOLD = {
    "openai": "429 rate_limit_exceeded, 400 invalid_value, 500 server_error, 503 server_error, "
    "504 server_error, 529 server_error",
    "azure": "429 429, 400 invalid_value, 500 InternalServerError, 503 ServiceUnavailable, "
    "504 Timeout, 503 ServiceUnavailable",
    "anthropic": "429 rate_limit_error, 400 invalid_request_error, 500 api_error, 503 api_error, "
    "504 timeout_error, 529 overloaded_error",
    "anthropic-vertex": "429 RESOURCE_EXHAUSTED, 400 invalid_request_error, 500 INTERNAL, "
    "503 UNAVAILABLE, 504 DEADLINE_EXCEEDED, 529 overloaded_error",
    "gemini": "429 RESOURCE_EXHAUSTED, 400 INVALID_ARGUMENT, 500 INTERNAL, 503 UNAVAILABLE, "
    "504 DEADLINE_EXCEEDED, 503 UNAVAILABLE",
    "bedrock": "429 ThrottlingException, 400 ValidationException, 500 InternalServerException, "
    "503 ServiceUnavailableException, 408 ModelTimeoutException, 503 ServiceUnavailableException",
    "ollama": "429 too many requests, 400 invalid request, 500 llama runner process, "
    "503 server busy, 500 timed out, 503 server busy",
}
TOLD["vertex"] = TOLD["gemini-array"] = TOLD["vertex-array"] = TOLD["gemini"]
TOLD["bedrock-invoke"] = TOLD["bedrock"]

# the same in the middle of a stream; without a word first
IN_THE_MIDDLE = {
    "anthropic": "overloaded_error, rate_limit_error, invalid_request_error, api_error, api_error, "
    "timeout_error, overloaded_error",
    "bedrock": "modelStreamErrorException, throttlingException, validationException, "
    "internalServerException, serviceUnavailableException, modelTimeoutException, "
    "serviceUnavailableException",
    "gemini": "UNAVAILABLE, RESOURCE_EXHAUSTED, INVALID_ARGUMENT, INTERNAL, UNAVAILABLE, "
    "DEADLINE_EXCEEDED, UNAVAILABLE",
    "openai": "server_error, rate_limit_exceeded, invalid_value, server_error, server_error, "
    "server_error, server_error",
    "azure": "server_error, 429, invalid_value, InternalServerError, ServiceUnavailable, Timeout, "
    "ServiceUnavailable",
    "ollama": "an error was encountered, too many requests, invalid request, llama runner process, "
    "server busy, timed out, server busy",
}
IN_THE_MIDDLE["anthropic-vertex"] = IN_THE_MIDDLE["anthropic"]
IN_THE_MIDDLE["bedrock-invoke"] = IN_THE_MIDDLE["bedrock"]
for one in ("vertex", "gemini-array", "vertex-array"):
    IN_THE_MIDDLE[one] = IN_THE_MIDDLE["gemini"]


def kind(said: Any) -> str:
    """The word by which a provider names an error; Ollama has only its message."""
    error = (said[0] if isinstance(said, list) else said)["error"]
    if isinstance(error, str):
        return error
    code, status = error.get("code"), error.get("status")
    return str(code if isinstance(code, str) else status or error["type"])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", TOLD)
async def test_a_failure_in_the_providers_words(
    http: httpx.AsyncClient, wire: str, stream: bool
) -> None:
    for word, told in zip(WORDS, TOLD[wire].split(", "), strict=True):
        path, fields = request(wire, f"cheap-{word}", stream=stream)
        got = await http.post(path, json=fields)
        status, _, name = told.partition(" ")
        assert got.status_code == int(status), word
        if wire.startswith("bedrock"):
            assert got.headers["x-amzn-errortype"].partition(":")[0] == name, word
            assert list(got.json()) == ["message"]
        else:
            assert kind(got.json()).startswith(name), (word, got.text)


@pytest.mark.parametrize("wire", IN_THE_MIDDLE)
async def test_a_failure_in_the_middle_in_the_providers_words(
    http: httpx.AsyncClient, wire: str
) -> None:
    for word, name in zip(("", *WORDS), IN_THE_MIDDLE[wire].split(", "), strict=True):
        model = f"cheap-errormid-{word}" if word else "cheap-errormid"
        path, fields = request(wire, model, stream=True)
        got = await http.post(path, json=fields)
        assert got.status_code == 200, word
        if wire.startswith("bedrock"):
            headers, payload = messages(got.content)[-1]
            assert (headers[":message-type"], headers[":exception-type"]) == ("exception", name)
            assert json.loads(payload)["message"], word
        else:
            assert kind(events(wire, got.content)[-1]).startswith(name), (word, got.text)


RETRY = {
    "openai": {"retry-after": "1", "retry-after-ms": "1000", "x-ratelimit-reset-requests": "1s"},
    "azure": {"retry-after": "1", "retry-after-ms": "1000", "x-ratelimit-reset-requests": "1"},
    "anthropic": {
        "retry-after": "1",
        "x-should-retry": "true",
        "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:01Z",
    },
}
OF_RETRIES = ("retry", "reset")


@pytest.mark.parametrize("wire", TOLD)
async def test_the_headers_that_say_when_to_come_back(http: httpx.AsyncClient, wire: str) -> None:
    path, fields = request(wire, "cheap-throttle", stream=False)
    got = await http.post(path, json=fields)
    told = {
        name: value for name, value in got.headers.items() if any(w in name for w in OF_RETRIES)
    }
    told.pop("x-ratelimit-reset-tokens", None)  # of what has not run out
    assert told == RETRY.get(wire, {})


@pytest.mark.parametrize("wire", ["gemini", "vertex"])
async def test_only_ai_studio_says_in_the_body_when_to_come_back(
    http: httpx.AsyncClient, wire: str
) -> None:
    path, fields = request(wire, "cheap-throttle", stream=False)
    error = (await http.post(path, json=fields)).json()["error"]
    waits = [each["retryDelay"] for each in error.get("details", ()) if "retryDelay" in each]
    assert waits == (["1s"] if wire == "gemini" else [])


@pytest.mark.parametrize("host", HOSTS)
async def test_a_hosts_429_names_the_model_and_nothing_of_ours(
    http: httpx.AsyncClient, host: str
) -> None:
    _, fields = request("openai", 'cheap-throttle-"x"', stream=False)
    got = await http.post(f"/{host}/v1/chat/completions", json=fields)
    assert got.status_code == 429
    assert "{model}" not in json.dumps(got.json())
    assert not any(name.startswith("openai-") for name in got.headers)
