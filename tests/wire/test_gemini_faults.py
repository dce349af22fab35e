"""What a failed call means, from its status, its code, its text and its details."""

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
    TimedOut,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import gemini
from tests.wire.gemini_answers import TARGET

TYPE = "type.googleapis.com/google.rpc."
DAILY = {
    "@type": f"{TYPE}QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}


def failed(status: int, body: Any, **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(UpstreamError) as caught:
        gemini.decode(status, headers, raw, TARGET)
    return caught.value


def error(code: int, status: str, message: str = "No.", *details: Any) -> Any:
    said = {"code": code, "message": message, "status": status}
    return {"error": said | ({"details": list(details)} if details else {})}


@pytest.mark.parametrize(
    ("code", "status", "message", "kind"),
    [
        (400, "INVALID_ARGUMENT", "Invalid value at 'contents'", Rejected),
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", Misconfigured),
        (400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", Misconfigured),
        (400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens",
         Unsuitable),
        (400, "INVALID_ARGUMENT", "Penalty is not enabled for models/gemini-2.5-pro", Unsuitable),
        (400, "INVALID_ARGUMENT", "Thinking is not supported by this model", Unsuitable),
        (400, "INVALID_ARGUMENT", "Unsupported MIME type: application/msword", Unsuitable),
        (400, "INVALID_ARGUMENT", "It has too many states for serving. Typical causes", Unsuitable),
        (400, "INVALID_ARGUMENT", "Invalid function name. Must start with a letter", Unsuitable),
        (400, "INVALID_ARGUMENT", "It exceeds the maximum allowed nesting depth.", Unsuitable),
        (400, "INVALID_ARGUMENT", "Function call is missing a thought_signature", Unsuitable),
        (400, "INVALID_ARGUMENT", "Function calling with a response mime type: 'x' is unsupported",
         Unsuitable),
        (400, "INVALID_ARGUMENT", "Built-in tools and functions cannot be combined", Unsuitable),
        (400, "INVALID_ARGUMENT", "Content with system role is not supported.", Unsuitable),
        (400, "INVALID_ARGUMENT", "topK value of 64 but the supported range is from 1", Unsuitable),
        (400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20 bytes.", Unsuitable),
        (400, "INVALID_ARGUMENT", "Cannot fetch content from the provided URL.", Unsuitable),
        (400, "INVALID_ARGUMENT", "Invalid or unsupported file uri: [...]", Unsuitable),
        (400, "INVALID_ARGUMENT", "User location is not supported for the API use.", Misconfigured),
        (403, "PERMISSION_DENIED", "You do not have permission to access the File x", Unsuitable),
        (403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)", Unsuitable),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.",
         Misconfigured),
        (400, "FAILED_PRECONDITION", "Please enable billing", Misconfigured),
        (400, "OUT_OF_RANGE", "", Rejected),
        (401, "UNAUTHENTICATED", "", Misconfigured),
        (403, "PERMISSION_DENIED", "", Misconfigured),
        (404, "NOT_FOUND", "", Misconfigured),
        (410, "", "", Misconfigured),
        (408, "", "", TimedOut),
        (413, "", "", Rejected),
        (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", Throttled),
        (499, "CANCELLED", "", Faulty),
        (500, "INTERNAL", "", Faulty),
        (500, "UNKNOWN", "", Faulty),
        (501, "UNIMPLEMENTED", "", Faulty),
        (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", Overloaded),
        (504, "DEADLINE_EXCEEDED", "", Faulty),
        (302, "", "", Misconfigured),
        (204, "", "", Broken),
    ],
)  # fmt: skip
@pytest.mark.parametrize("listed", [False, True], ids=["object", "list"])
def test_a_failure_is_of_its_class(
    code: int, status: str, message: str, kind: type[UpstreamError], listed: bool
) -> None:
    body = error(code, status, message)
    found = failed(code, [body] if listed else body)
    assert type(found) is kind
    assert str(found) == (message or f"the provider answered with HTTP status {code}")
    assert found.upstream_code == (status or None)


@pytest.mark.parametrize(
    ("details", "headers", "seconds"),
    [
        ([{"@type": f"{TYPE}RetryInfo", "retryDelay": "34s"}], {}, 34.0),
        ([DAILY, {"@type": f"{TYPE}RetryInfo", "retryDelay": "0.25s"}], {}, 0.25),
        ([{"retryDelay": "3s"}], {"retry-after": "9"}, 3.0),
        ([DAILY], {}, None),
        ([], {"retry-after": "9"}, 9.0),
        ([], {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ([{"retryDelay": "-1s"}, {"retryDelay": 5}, {"retryDelay": "soon"}, None, 7], {}, None),
    ],
)
def test_when_to_come_back(details: Any, headers: dict[str, str], seconds: float | None) -> None:
    found = failed(429, error(429, "RESOURCE_EXHAUSTED", "No.", *details), **headers)
    assert (type(found), found.retry_after) == (Throttled, seconds)


def test_a_bad_key_is_told_by_its_reason_too() -> None:
    reason = {"@type": f"{TYPE}ErrorInfo", "reason": "API_KEY_INVALID"}
    assert type(failed(400, error(400, "INVALID_ARGUMENT", "Nein.", reason))) is Misconfigured


@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"[]", b"[5]", b'{"error":5}', b'{"error":{"details":"?"}}']
)
def test_a_failure_without_words_is_told_by_its_status(body: bytes) -> None:
    assert type(failed(502, body)) is Faulty
    assert type(failed(400, body)) is Rejected
    assert type(failed(429, body)) is Throttled


def test_a_message_is_cut() -> None:
    assert len(str(failed(400, error(400, "INVALID_ARGUMENT", "x" * 9_000)))) == 500


@pytest.mark.parametrize("body", [error(503, "UNAVAILABLE"), error(0, "UNAVAILABLE")])
def test_an_error_inside_a_200_is_a_failure(body: Any) -> None:
    assert type(failed(200, body)) is Overloaded
