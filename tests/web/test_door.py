"""The HTTP face on loopback: what every wrong request gets, and what nobody can do to us."""

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.events import Denied
from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
redis: {url: memory}
limits: {body_bytes: 20000, in_flight: 3, in_flight_per_key: 2}
timeouts: {answer_s: 30}
providers:
  p: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
models:
  right: {deployments: [{provider: p, upstream: cheap-right}], context: &c 10000,
    max_output: &m 1000, price: &p {input: 0.10, output: 0.40}}
  stall: {deployments: [{provider: p, upstream: cheap-stall}], context: *c, max_output: *m,
    price: *p}
  failing: {deployments: [{provider: p, upstream: cheap-error500}], context: *c, max_output: *m,
    price: *p}
tiers:
  cheap: {models: [right]}
routes:
  auto: {tiers: [cheap], checks: [not_empty]}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}]}
  narrow: {keys: [{id: k1, hash: "${NARROW}"}], models: [stall]}
"""
NARROW = "tg-narrow-0123456789"
PATH = "/v1/chat/completions"
ASK = {"model": "right", "messages": [{"role": "user", "content": "2+2"}]}
ME = {"authorization": f"Bearer {KEY}"}


DOORS = ("/livez", "/readyz", "/metrics", "/v1/models", "/v1/models/auto")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(
        CONFIG, {"NARROW": f"sha256:{sha256(NARROW.encode()).hexdigest()}"}
    ) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def http(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, headers=ME, timeout=10) as client:
        yield client
    await service.audit("acme")


def error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The OpenAI error object of a response that has one; x-request-id is on everything."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert response.headers["x-request-id"].startswith("req_")
    body = response.json()
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["code", "message", "param", "type"]
    assert body["error"]["code"] == code
    found: dict[str, Any] = body["error"]
    return found


async def raw(service: Running, data: bytes) -> bytes:
    """The head of what comes back for bytes, before anything more is sent."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    finally:
        writer.close()


async def test_an_answer(http: httpx.AsyncClient) -> None:
    response = await http.post(PATH, json=ASK)
    assert response.status_code == 200
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["x-gateway-model"] == response.json()["model"] == "right"
    gateway = response.json()["usage"]["gateway"]
    assert response.headers["x-gateway-cost-usd"] == f"{gateway['cost_usd']:.10f}".rstrip("0")


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code", "param"),
    [
        ("POST", PATH, {"json": ASK | {"model": "gpt-99"}}, 404, "model_not_found", "model"),
        ("POST", PATH, {"json": ASK | {"model": "a\r\nx: y"}}, 404, "model_not_found", "model"),
        ("POST", PATH, {"json": {}}, 400, "invalid_request", "model"),
        ("POST", PATH, {"json": ASK | {"messages": []}}, 400, "invalid_request", "messages"),
        ("POST", PATH, {"content": b"{"}, 400, "invalid_request", None),
        ("POST", PATH, {"content": b""}, 400, "invalid_request", None),
        ("POST", PATH, {"content": b"x" * 20_001}, 413, "request_too_large", None),
        ("POST", PATH, {"json": ASK | {"max_tokens": 9999}}, 400, "no_model_fits", "model"),
        ("POST", PATH, {"json": ASK, "headers": {"x-gateway-region": "mars\u00e9".encode()}},
         400, "no_model_fits", "model"),
        ("POST", PATH, {"json": ASK, "headers": {"x-gateway-strategy": "guess"}},
         400, "invalid_request", "gateway.strategy"),
        ("POST", PATH, {"json": ASK, "headers": {"content-encoding": "gzip"}},
         400, "invalid_request", "content-encoding"),
        ("POST", PATH, {"json": ASK, "headers": {"authorization": "Bearer no"}},
         401, "invalid_api_key", None),
        ("POST", PATH, {"json": ASK, "headers": {"x": "y" * 33_000}},
         431, "headers_too_large", None),
        ("POST", PATH, {"json": ASK, "headers": {"authorization": f"Bearer {NARROW}"}},
         403, "model_not_allowed", "model"),
        ("GET", PATH, {}, 405, "method_not_allowed", None),
        ("DELETE", PATH, {}, 405, "method_not_allowed", None),
        ("POST", "/v1/models", {}, 405, "method_not_allowed", None),
        ("GET", "/v1/route/explain", {}, 405, "method_not_allowed", None),
        ("GET", "/v1/nothing", {}, 404, "not_found", None),
        ("GET", "/v1/models/gpt-99", {}, 404, "model_not_found", "model"),
        ("GET", "/v1/models", {"headers": {"authorization": "Bearer no"}},
         401, "invalid_api_key", None),
        ("GET", "/v1/models/gpt-99", {"headers": {"authorization": "Bearer no"}},
         401, "invalid_api_key", None),
        ("POST", "/v1/route/explain", {"content": b"["}, 400, "invalid_request", None),
        ("POST", "/v1/route/explain", {"content": b"x" * 20_001}, 413, "request_too_large", None),
        ("POST", "/v1/route/explain", {"json": ASK, "headers": {"authorization": ""}},
         401, "invalid_api_key", None),
    ],
)  # fmt: skip
async def test_each_wrong_request(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    options: dict[str, Any],
    status: int,
    code: str,
    param: str | None,
) -> None:
    response = await http.request(method, path, **options)
    assert error(response, status, code)["param"] == param
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "TRACE", "PROPFIND"])
async def test_a_door_says_which_methods_it_takes(http: httpx.AsyncClient, method: str) -> None:
    response = await http.request(method, PATH)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/v1/models", "/v1/models/fast"])
async def test_a_door_that_answers_head_says_so(http: httpx.AsyncClient, path: str) -> None:
    response = await http.post(path)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/livez/", "/metrics/", "/v1/route/explain/"])
async def test_another_slash_is_another_path(http: httpx.AsyncClient, path: str) -> None:
    error(await http.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/v1/chat/completions", "/", "/v1"])
async def test_a_base_url_that_is_wrong_is_told_where_the_door_is(
    http: httpx.AsyncClient, path: str
) -> None:
    told = error(await http.post(path, json=ASK), 404, "not_found")["message"]
    assert told.endswith(
        "Chat completions are at /v1/chat/completions: an SDK's base_url ends in /v1."
    )


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/embeddings", "/v1/chat/completions/"])
async def test_another_api_of_openais_is_told_what_there_is(
    http: httpx.AsyncClient, path: str
) -> None:
    message = error(await http.post(path, json=ASK), 404, "not_found")["message"]
    assert "/v1/chat/completions, and models: a client that asks the Responses API" in message
    assert "base_url" not in message, "that is right"


async def test_a_model_at_one_provider_is_described(http: httpx.AsyncClient) -> None:
    """As any other name that `model` can be; who may ask for the model may say where."""
    model = (await http.get("/v1/models/right")).json()
    assert model["providers"] == ["p"]
    assert (await http.get("/v1/models/p/right")).json() == model | {"id": "p/right"}
    narrow = {"authorization": f"Bearer {NARROW}"}
    assert (await http.get("/v1/models/p/stall", headers=narrow)).json()["id"] == "p/stall"
    refused = await http.get("/v1/models/p/right", headers=narrow)
    error(refused, 404, "model_not_found")


async def test_its_description_is_made_without_a_warning(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert {path: list(methods) for path, methods in paths.items()} == {
        "/livez": ["get"],
        "/readyz": ["get"],
        "/metrics": ["get"],
        "/v1/models": ["get"],
        "/v1/models/{name}": ["get"],
        "/v1/route/explain": ["post"],
        "/v1/route/explain/{request_id}": ["get"],
    }
    named = {
        path: each["get"].get("parameters", []) for path, each in paths.items() if "get" in each
    }
    assert {path: [part["name"] for part in parts] for path, parts in named.items() if parts} == {
        "/v1/models/{name}": ["name"],
        "/v1/route/explain/{request_id}": ["request_id"],
    }


@pytest.mark.parametrize("path", DOORS)
async def test_what_can_be_read_can_be_asked_for_without_its_body(
    http: httpx.AsyncClient, path: str
) -> None:
    response = await http.head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0


async def test_the_size_of_headers_and_the_last_key_hold_at_every_door(
    http: httpx.AsyncClient,
) -> None:
    for path in ("/v1/models", "/livez", "/metrics", "/nowhere"):
        refused = await http.get(path, headers={"x-a": "a" * 33_000})
        error(refused, 431, "headers_too_large")
        assert refused.headers["x-request-id"].startswith("req_"), path
    twice = [("authorization", http.headers["authorization"]), ("authorization", "Bearer other")]
    for request in (("GET", "/v1/models"), ("POST", PATH)):
        unkeyed = http.build_request(*request, json=ASK)
        del unkeyed.headers["authorization"]
        unkeyed.headers = httpx.Headers([*unkeyed.headers.multi_items(), *twice])
        refused = await http.send(unkeyed)
        error(refused, 401, "invalid_api_key")
        assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", DOORS)
async def test_every_other_door_answers_with_a_request_id(
    http: httpx.AsyncClient, path: str
) -> None:
    first, second = [await http.get(path) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_all_candidates_failed(http: httpx.AsyncClient) -> None:
    response = await http.post(PATH, json=ASK | {"model": "failing"})
    error(response, 502, "no_answer")
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-gateway-attempts"] == "1"


@pytest.mark.parametrize("path", [PATH, "/v1/route/explain"], ids=["hot", "not hot"])
async def test_a_bug_of_ours_is_not_to_be_met_again(
    service: Running, http: httpx.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SDKs ask again after a 500, and each time the calls on the way to it are paid."""

    def bug(*_: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(service.gateway.world.plans, "plan", bug)
    response = await http.post(path, json=ASK)
    error(response, 500, "internal_error")
    assert response.headers["x-should-retry"] == "false"


# Before the body -----------------------------------------------------------------------------


async def test_who_asks_is_settled_before_the_body_is_read(service: Running) -> None:
    head = await raw(
        service,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\n"
        b"content-length: 1000\r\n\r\n",
    )
    assert head.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("declares", "sends"),
    [
        (b"content-length: 20001", b""),
        (b"content-length: 99999999999999999", b""),
        (b"transfer-encoding: chunked", (b"2000\r\n" + b"x" * 0x2000 + b"\r\n") * 3),
    ],
)
async def test_too_large_is_said_before_it_is_sent(
    service: Running, declares: bytes, sends: bytes
) -> None:
    head = await raw(
        service,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\n%b\r\n\r\n%b"
        % (ME["authorization"].encode(), declares, sends),
    )
    assert head.startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_leaves_within_its_body_is_counted(service: Running) -> None:
    before = len(service.events)
    host, _, port = service.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: {ME['authorization']}\r\n"
    writer.write(f"{head}content-length: 9\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(30):
        while not any(isinstance(event, Denied) for event in service.events[before:]):
            await asyncio.sleep(0.005)
    (denied,) = [event for event in service.events[before:] if isinstance(event, Denied)]
    about = denied.about
    assert (denied.code, about.tenant, about.route) == ("client_gone", "acme", "other")


# Too many at once ----------------------------------------------------------------------------


async def test_in_flight_caps(service: Running, http: httpx.AsyncClient) -> None:
    in_flight = service.gateway.front.door.in_flight
    stalled = [
        asyncio.create_task(http.post(PATH, json=ASK | {"model": "stall"})) for _ in range(2)
    ]
    async with asyncio.timeout(30):
        while service.simulator.simulator.open < 2:  # before that, nothing would be billed
            await asyncio.sleep(0.005)
    assert in_flight.total == 2
    response = await http.post(PATH, json=ASK)
    error(response, 503, "too_many_requests_in_flight")
    assert response.headers["retry-after"] == "1"
    assert "x-should-retry" not in response.headers
    for task in stalled:
        task.cancel()
    await asyncio.wait(stalled)
    async with asyncio.timeout(30):
        while in_flight.total:
            await asyncio.sleep(0.005)
    assert not any(seats.taken for seats in in_flight.by_key.values())
    assert (await http.post(PATH, json=ASK)).status_code == 200


# Metrics -------------------------------------------------------------------------------------


def series(text: str) -> set[tuple[str, ...]]:
    return {
        (sample.name, *sorted(f"{name}={value}" for name, value in sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_junk_adds_no_series(service: Running, http: httpx.AsyncClient) -> None:
    """10,000 model names, and as many users, regions, tags and paths."""
    front = service.gateway.front
    for name in ("right", "junk"):
        await http.post(PATH, json=ASK | {"model": name, "max_tokens": 5000})
    await http.get("/junk")
    before = series((await http.get("/metrics")).text)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    statuses: set[int] = set()
    for number in range(10_000):
        junk = f"junk-{number}"
        known = "right" if number % 10 == 0 else junk
        extras = {"region": junk, "tags": {junk: junk}}
        fields = ASK | {"model": known, "user": junk, "gateway": extras}
        body = json.dumps(fields).encode()

        async def receive(body: bytes = body) -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        headers = [(b"authorization", ME["authorization"].encode())]
        scope = {"type": "http", "path": PATH, "method": "POST", "headers": headers}
        await front(scope, receive, send)
    assert statuses == {400, 404}
    assert series((await http.get("/metrics")).text) == before


async def test_the_exposition_parses(http: httpx.AsyncClient) -> None:
    await http.post(PATH, json=ASK)
    response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert {"gateway_requests", "gateway_cost_usd", "gateway_overhead_seconds"} <= set(families)
    assert all(family.documentation for family in families.values())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_shape_that_came_twice_is_known(
    http: httpx.AsyncClient, service: Running, stream: bool
) -> None:
    shapes = service.gateway.front.door.now.shapes
    known = []
    for asked in ("2+2", "2+3", "2+4", "2+5"):
        messages = [{"role": "user", "content": asked}]
        response = await http.post(
            PATH, json=ASK | {"messages": messages, "stream": stream, "seed": 54}
        )
        assert response.status_code == 200
        known.append(shapes.find(response.request.content) is not None)
    assert known == [False, True, True, True]
