"""A key that somebody puts where it does not belong is in nothing that is kept or told: keys of
every shape in every input, and the gateway's own secrets in what providers say.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis

from gateway.core.keys import digest_of
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Simulator
from tests.promises import Reached
from tests.service.collector import collecting
from tests.service.running import KEY, Running, running

pytest_plugins = ("tests.redis_server",)

OURS: Final = {
    "key": "the-key-of-the-provider",
    "pepper": "pepper-0123456789abcdef-0123456789",
}
KEYS: Final = (
    "sk-canary-0123456789abcdef",
    "tg-canary-0123456789abcdefghijklmnopqrstuvwxyz",
    "gsk_canary0123456789abcdef",
    "AIzaCanary0123456789abcdef",
)
CONFIG: Final = """
redis: {url: "${REDIS_URL}", timeout_ms: 5000}
keys: {pepper: "${pepper}"}
log: {to: "${LOG}", log_content: full}
otel: {endpoint: "${OTEL}", content: true}
tags: {team: [red], who: any}
providers:
  good: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: "${key}"}
  leaky: {dialect: openai, base_url: "${SIMULATOR_URL}/leaky/v1", api_key: "${key}"}
models:
  right: {deployments: [{provider: good, upstream: cheap-right}], context: &c 100000,
    max_output: &m 1000, price: {input: 0.10, output: 0.40}}
  leaky: {deployments: [{provider: leaky}], context: *c, max_output: *m,
    price: {input: 0.10, output: 0.40}}
tiers: {first: {models: [leaky]}, second: {models: [right]}}
routes:
  auto: {tiers: [first, second], checks: [not_refused]}
  alone: {tiers: [first]}
tenants:
  canaries: {keys: [{id: k1, hash: "${KEPT}"}], budgets: [{usd: 50, per: day}],
    user_budgets: [{usd: 5, per: day}], tag_budgets: {who: [{usd: 5, per: day}]}}
"""


class Leaky(Simulator):
    """A provider that quotes all it was sent in its errors, and keys besides."""

    status = 400

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/leaky/"):
            await super().app(scope, receive, send)
            return
        sent = b""
        while (message := await receive()).get("more_body"):
            sent += message.get("body", b"")
        sent += message.get("body", b"")
        said = f"refused: {scope['headers']} {sent.decode()} {' '.join(KEYS)}"
        error = {"message": said, "type": KEYS[0], "code": KEYS[1], "param": KEYS[2]}
        body = json.dumps({"error": error}).encode()
        head = [(b"content-type", b"application/json"), (b"x-request-id", KEYS[0].encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        await send({"type": "http.response.body", "body": body})


def asked(key: str) -> Iterator[tuple[dict[str, Any], dict[str, str], str]]:
    """Requests with a key in every place: body, headers, query. Some are refused."""
    say = {"role": "user", "content": f"Keep {key} for me.\n{key}"}
    plain = {"model": "auto", "messages": [{"role": "user", "content": "Hi."}]}
    tool = {"type": "function", "function": {"name": key, "description": key, "parameters": {}}}
    extras = {"tags": {"who": key, "team": key, key: key}}
    for body in (
        {**plain, "model": key},
        {**plain, "messages": [say, {"role": "assistant", "content": key}, say]},
        {**plain, "user": key},
        {**plain, "user": f"ann {key}"},
        {**plain, "gateway": extras},
        {**plain, "metadata": {key: key}, "stop": [key], "tools": [tool], key: key},
        {**plain, "temperature": key},
        {**plain, "messages": [{**say, "role": key}]},
        {**plain, "response_format": {"type": key}, "service_tier": key},
        {**plain, "gateway": {key: key, "region": key, "checks": [key], "strategy": key}},
        {**plain, "gateway": {"region": key}},
        {**plain, "gateway": {"checks": [key]}},
        {**plain, "gateway": {"strategy": key}},
        {**plain, "model": "alone", "user": key, "messages": [say]},
        {**plain, "model": f"leaky/{key}"},
    ):
        yield body, {}, ""
    heads = (
        "x-gateway-region", "x-gateway-tags", "x-gateway-checks", "x-gateway-strategy",
        "x-gateway-max-cost-usd", "cookie", "x-api-key", "traceparent", "tracestate", "baggage",
        "user-agent", "referer", "cache-control", "x-request-id", "openai-organization",
    )  # fmt: skip
    for head in heads:
        yield plain, {head: key}, ""
    yield plain, {"x-gateway-tags": json.dumps({"who": key})}, ""
    yield plain, {"authorization": f"Bearer {key}"}, ""
    yield plain, {"authorization": key}, ""
    yield plain, {}, f"?key={key}&{key}"


async def kept(url: str) -> bytes:
    """Every key and value of a Redis."""
    found = []
    async with Redis.from_url(url) as redis:
        async for key in redis.scan_iter(count=1_000):
            found += [key, (await redis.dump(key)) or b""]
            kind = (await redis.type(key)).decode()  # type: ignore[union-attr]
            read = {
                "string": lambda key=key: redis.get(key),
                "hash": lambda key=key: redis.hgetall(key),
                "list": lambda key=key: redis.lrange(key, 0, -1),
                "set": lambda key=key: redis.smembers(key),
                "zset": lambda key=key: redis.zrange(key, 0, -1, withscores=True),
                "stream": lambda key=key: redis.xrange(key),
            }
            found.append(repr(await read[kind]()).encode())  # type: ignore[no-untyped-call]
    return b"\n".join(found)


async def ask(service: Running, simulator: Leaky) -> tuple[list[bytes], int]:
    """What clients were told of failures; and how many requests that took."""
    told, count = [], 0
    async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
        for simulator.status in (400, 401, 500):
            for key in KEYS:
                for body, heads, query in asked(key):
                    for stream in (False, True):
                        mine = {"authorization": f"Bearer {KEY}", **heads}
                        path = f"/v1/chat/completions{query}"
                        got = await client.post(path, json=body | {"stream": stream}, headers=mine)
                        count += 1
                        told.append(repr([*got.headers.items()]).encode())
                        if got.status_code != 200 or b'"error"' in got.content:
                            told.append(got.content)
        for path in (f"/v1/models/{KEYS[0]}", f"/v1/route/explain/{KEYS[0]}", f"/{KEYS[0]}"):
            got = await client.get(path, headers={"authorization": f"Bearer {KEY}"})
            told.append(got.content)
        told.append(b"\n--metrics\n" + (await client.get("/metrics")).content)
    return told, count


async def test_no_key_is_kept_or_told(
    own_redis: EmbeddedRedis, tmp_path: Path, reached: Reached, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    simulator, file = Leaky(), tmp_path / "lives.jsonl"
    async with collecting() as collector:
        env = {"REDIS_URL": own_redis.url, "LOG": str(file), "OTEL": collector.url, **OURS}
        env |= {"KEPT": digest_of(KEY, OURS["pepper"])}
        async with running(CONFIG, env, simulator) as service:
            told, count = await ask(service, simulator)
            async with asyncio.timeout(30):
                while service.gateway.front.door.in_flight.total:
                    await asyncio.sleep(0.01)
            in_redis = await kept(own_redis.url)
    places = {
        "log": file.read_bytes(),
        "metrics": told.pop(),
        "traces": collector.raw,
        "errors": b"\n".join(told),
        "Redis": in_redis,
    }
    assert all(len(text) > 1_000 for text in places.values()), "nothing was told"
    places["the process's own log"] = caplog.text.encode()
    secrets = [*KEYS, *OURS.values(), KEY]
    hits = {
        (name, secret): at(text, secret.encode())
        for name, text in places.items()
        for secret in secrets
        if secret.encode() in text
    }
    what = "canary keys and secrets in logs, metrics, traces, errors, Redis"
    reached("operations", what, f"{len(hits)} ({count:,} requests)", "0")
    assert hits == {}
    assert b"[redacted]" in places["log"]
    assert b"[redacted]" in places["traces"]


def at(text: bytes, secret: bytes) -> bytes:
    begin = text.index(secret)
    return text[max(begin - 150, 0) : begin + 60]
