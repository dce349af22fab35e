"""Another configuration while requests are served: whole, or not at all."""

import asyncio
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.core.errors import ConfigRefused
from gateway.core.events import Settled
from gateway.core.keys import EVERYTHING, Actor
from gateway.web.issuer import Wish
from tests.service.held import held
from tests.service.processes import loopback
from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
redis: {url: embedded, timeout_ms: 5000, data_dir: '${FOLDER}'}
admin: {keys: [{id: root, hash: '${ADMIN}', scopes: [read, write]}]}
tags: {app: [chat, rag]}
providers:
  p: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
  q: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: y}
models:
  right: {deployments: [{provider: p, upstream: cheap-right}], context: &c 10000,
    max_output: &m 1000, price: {input: 0.10, output: 0.40}}
  slow: {deployments: [{provider: q, upstream: cheap-slow}], context: *c, max_output: *m,
    price: {input: 0.10, output: 0.40}}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: total}]}
"""
ADMIN = "tg-admin-0123456789abcdefghijklmnopqrstuvwxyz0123456"
ASKED: list[Any] = [{"role": "user", "content": "What is 17*23?"}]


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["embedded", "memory"])
async def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    env = {
        "FOLDER": str(tmp_path_factory.mktemp("ledger")),
        "ADMIN": f"sha256:{sha256(ADMIN.encode()).hexdigest()}",
    }
    text = CONFIG.replace("url: embedded", f"url: {request.param}")
    async with running(text, env) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def sound(service: Running) -> AsyncIterator[Running]:
    """As at the start again."""
    await service.reload(config(service))
    await service.begin("acme")
    yield service
    await service.reload(config(service))
    await service.audit("acme")


def config(service: Running) -> str:
    return CONFIG.replace("url: embedded", f"url: {service.snapshot.ledger.url}")


async def ask(
    service: Running, model: str, *, stream: bool = False, key: str = KEY, status: int = 200
) -> float:
    """What it cost, in USD."""
    body: dict[str, Any] = {"model": model, "messages": ASKED, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    async with loopback(service.url) as client:
        path, headers = "/v1/chat/completions", {"authorization": f"Bearer {key}"}
        answer = await client.post(path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    cost = re.search(r'"gateway": ?\{"cost_usd": ?([\d.e-]+)', answer.text)
    return float(cost[1]) if cost else 0.0


@asynccontextmanager
async def asking(
    service: Running, count: int, *, stream: bool = False
) -> AsyncIterator[list["asyncio.Task[float]"]]:
    """So many slow calls that are at their provider. All are answered at the end, not before."""
    with held(service.simulator.simulator, count) as slow:
        asked = [asyncio.create_task(ask(service, "slow", stream=stream)) for _ in range(count)]
        await slow.until(count)
        yield asked
    await asyncio.gather(*asked)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_who_came_before_pays_the_price_of_before(sound: Running, stream: bool) -> None:
    text = config(sound)
    was = await ask(sound, "slow", stream=stream)
    async with asking(sound, 2, stream=stream) as asked:
        done = await sound.reload(text.replace("0.10, output: 0.40", "0.30, output: 1.20"))
        names = ["models.right changed", "models.slow changed"]
        assert [str(each) for each in done.changes] == names
        now = await ask(sound, "slow", stream=stream)
    assert {await each for each in asked} == {was}
    assert now == pytest.approx(3 * was)
    sound.simulator.bill.clear()  # it knows nothing of our prices
    sound.events.clear()
    sound.before = await sound.spent("acme")


async def test_a_provider_that_moved_ends_its_calls_where_they_began(sound: Running) -> None:
    """New calls go over new connections; the old ones close behind the last call."""
    async with asking(sound, 4):
        before: Any = sound.gateway.world.upstream
        await sound.reload(config(sound).replace("api_key: y", "api_key: z"))
        after: Any = sound.gateway.world.upstream
        assert (after is before, before.open >= 4, after.open) == (False, True, 0)
    assert before.open == 0
    await ask(sound, "slow")
    assert after.open == 1


async def test_what_did_not_change_is_what_it_was(sound: Running) -> None:
    world = sound.gateway.world
    world.health.failed("p/right", world.clock(), 60.0)
    world.pace.call_started("p/right")
    world.pace.call_ended("p/right", 0.1)
    done = await sound.reload(config(sound).replace("usd: 5", "usd: 6"))
    now = sound.gateway.world
    assert [str(each) for each in done.changes] == ["tenants.acme changed"]
    assert (now.upstream, now.health, now.pace) == (world.upstream, world.health, world.pace)
    assert now.health.down(now.clock()) == {"p/right"}
    assert now.pace.in_flight("p/right") == 0

    await sound.reload(config(sound).replace("api_key: x", "api_key: good"))
    assert sound.gateway.world.health.down(now.clock()) == set(), "with another key it may be well"


async def test_a_new_cap_holds_at_once_and_what_was_spent_stays(sound: Running) -> None:
    cost = await ask(sound, "right")
    spent = await sound.spent("acme")
    assert spent > 0
    small = config(sound).replace("usd: 5,", f"usd: {cost:.9f},")
    await sound.reload(small)
    assert await sound.spent("acme") == spent
    await ask(sound, "right", status=429)
    await sound.reload(config(sound).replace("usd: 5,", "usd: 50,"))
    await ask(sound, "right")


async def test_tenants_and_keys_come_and_go_and_those_of_the_store_stay(sound: Running) -> None:
    root = Actor("root", EVERYTHING)
    stored = await sound.gateway.issuer.create(root, Wish("acme"))
    await ask(sound, "right", key=stored.key)
    with_more = config(sound) + "  more: {anonymous: true}\n"
    await sound.reload(with_more.replace("id: k1", "id: k2"))
    await ask(sound, "right", key=stored.key)
    late = await sound.gateway.issuer.create(root, Wish("more"))
    await ask(sound, "right", key=late.key)
    ours = {event.about.tenant for event in sound.events if isinstance(event, Settled)}
    assert ours == {"acme", "more"}
    await sound.gateway.issuer.revoke(root, stored.record.id)
    await sound.reload(config(sound))
    for key in (stored.key, late.key):
        await ask(sound, "right", key=key, status=401)
    sound.simulator.bill.clear()
    sound.events.clear()
    sound.before = await sound.spent("acme")


async def test_models_come_and_go(sound: Running) -> None:
    named = config(sound).replace("  right: {", "  renamed: {")
    await sound.reload(named)
    await ask(sound, "renamed")
    await ask(sound, "right", status=404)
    async with sound.client() as client:
        models = [each.id async for each in client.models.list()]
    assert models == ["renamed", "slow"]


@pytest.mark.parametrize(
    ("was", "now", "fault"),
    [
        ("usd: 5", "usd: five", "tenants.acme.budgets[0].usd: must be an amount"),
        ("provider: p,", "provider: nobody,", "deployments[0].provider: names an unknown provider"),
        ("tenants:", "tenants: [", "is not valid YAML"),
        (CONFIG, "", "providers: at least one is required"),
        ("admin: {", "admin: {port: 4007, ", "admin.port: cannot change while it runs"),
        ("timeout_ms: 5000", "timeout_ms: 7", "redis.timeout_ms: cannot change while it runs"),
    ],
)
async def test_what_is_wrong_is_told_and_the_old_one_goes_on(
    sound: Running, was: str, now: str, fault: str
) -> None:
    text = config(sound)
    wrong = text.replace(was, now) if was in text else now
    served = sound.gateway.front.door.now
    with pytest.raises(ConfigRefused) as refused:
        await sound.reload(wrong)
    assert fault in str(refused.value)
    assert sound.gateway.front.door.now is served
    await ask(sound, "right")


async def test_the_admin_api_reloads(sound: Running) -> None:
    app = httpx.ASGITransport(app=sound.gateway.admin())
    headers = {"authorization": f"Bearer {ADMIN}"}
    async with httpx.AsyncClient(transport=app, base_url="http://admin", headers=headers) as admin:
        same = await admin.post("/admin/v1/reload")
        sound.text[:] = [config(sound).replace("usd: 5", "usd: 7") + "limits: {in_flight: 9}\n"]
        changed = await admin.post("/admin/v1/reload")
        sound.text[:] = ["tenants: {}"]
        refused = await admin.post("/admin/v1/reload")
        stranger = await admin.post("/admin/v1/reload", headers={"authorization": f"Bearer {KEY}"})
    assert (same.status_code, same.json()["result"], same.json()["changes"]) == (
        200,
        "unchanged",
        [],
    )
    assert changed.json()["changes"] == [
        {"path": "tenants.acme", "change": "changed"},
        {"path": "limits.in_flight", "change": "changed"},
    ]
    assert changed.json()["hash"] != same.json()["hash"]
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (422, "config_refused")
    assert "test.yaml: providers: at least one is required" in error["message"].splitlines()
    assert stranger.status_code == 401
    assert sound.gateway.front.door.in_flight.limits.in_flight == 9


async def test_metrics_tell_of_it(sound: Running) -> None:
    async def lines(begin: str) -> dict[str, float]:
        async with loopback(sound.url) as client:
            text = (await client.get("/metrics")).text
        found = [line.rpartition(" ") for line in text.splitlines() if line.startswith(begin)]
        return {name: float(value) for name, _, value in found}

    limit = 'gateway_budget_limit{meter="usd",mode="hard",per="%s",scope="tenant",tenant="acme"}'
    changed = 'gateway_config_reloads_total{result="changed"}'
    before = await lines("gateway_")
    assert before[limit % "total"] == 5
    more = config(sound).replace("{usd: 5, per: total}", "{usd: 6, per: day}")
    more = more.replace("  slow: {", "  new: {") + "  more: {budgets: [{usd: 1, per: day}]}\n"
    done = await sound.reload(more)
    after = await lines("gateway_")
    assert after[changed] == before[changed] + 1
    assert after["gateway_config_hash"] == int(done.hash, 16)
    assert after["gateway_config_loaded_timestamp_seconds"] == pytest.approx(done.at)
    assert after["gateway_config_reload_failed"] == 0
    assert after['gateway_circuit_state{deployment="q/new"}'] == 0
    assert after['gateway_budget_overruns_total{tenant="more"}'] == 0
    assert after[limit % "day"] == 6
    assert math.isnan(after[limit % "total"]), "there is no such budget any more"
    with pytest.raises(ConfigRefused):
        await sound.reload("providers: {}")
    failed = await lines("gateway_config")
    assert failed["gateway_config_reload_failed"] == 1
    assert failed["gateway_config_hash"] == int(done.hash, 16), "what is served"
