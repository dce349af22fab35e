"""The admin API: who may do what, and what every wrong request gets."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.core.keys import EVERYTHING, Actor, Right, Scopes
from gateway.drivers.memory_keys import MemoryKeys
from gateway.web.issuer import Issuer, Wish
from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
redis: {url: memory}
keys: {pepper: "${PEPPER}"}
admin: {keys: [{id: early, hash: "sha256:1111111111111111111111111111111111111111111111111111111111111111"}]}
providers:
  p: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x, regions: [eu]}
models:
  right: {deployments: [{provider: p, upstream: cheap-right}], context: &c 10000,
    max_output: &m 1000, price: &p {input: 0.10, output: 0.40}}
  other: {deployments: [{provider: p, upstream: cheap-right}], context: *c, max_output: *m,
    price: *p}
tenants:
  acme:
    keys: [{id: k1, hash: "${HASH}", budgets: [{usd: 1, per: day}]}]
    budgets: [{usd: 5, per: day}, {requests: 1000, per: minute}]
    user_budgets: [{usd: 0.5, per: day}]
    organisation: globex
  rival: {models: [other], keys: [{id: k1, hash: "sha256:2222222222222222222222222222222222222222222222222222222222222222"}]}
organisations:
  globex: {budgets: [{usd: 100, per: month}]}
"""  # noqa: E501
ASK = {"model": "right", "messages": [{"role": "user", "content": "2+2"}]}
BOTH: frozenset[Right] = frozenset({"read", "write"})


class Bench:
    """The admin app in this process, and the keys of its admins by name."""

    def __init__(self, service: Running, keys: dict[str, str]) -> None:
        self.service = service
        self.keys = keys
        transport = httpx.ASGITransport(service.gateway.admin())
        self.http = httpx.AsyncClient(transport=transport, base_url="http://admin/admin/v1")

    async def __call__(self, who: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[who]}"} if who else {}
        return await self.http.request(method, path, headers=headers, **options)

    async def made(self, who: str = "root", **body: Any) -> dict[str, Any]:
        response = await self(who, "POST", "/keys", json={"tenant": "acme"} | body)
        assert response.status_code == 201, response.text
        told: dict[str, Any] = response.json()
        return told

    async def answers(self, key: str, **body: Any) -> int:
        """What a chat request on the public port gets with a key."""
        url = f"{self.service.url}/v1/chat/completions"
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}) as client:
            return (await client.post(url, json=ASK | body)).status_code


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def admin() -> AsyncIterator[Bench]:
    async with running(CONFIG, {"PEPPER": "0123456789abcdef"}) as service:
        issuer = service.gateway.issuer
        operator = Actor("test", EVERYTHING)

        async def key(tenant: str, rights: frozenset[Right], **scopes: Any) -> str:
            return str((await issuer.create(operator, Wish(tenant, admin=rights, **scopes))).key)

        keys = {
            "root": await key("", BOTH),
            "reader": await key("", frozenset({"read"})),
            "writer": await key("", frozenset({"write"})),
            "acme": await key("acme", BOTH),
            "rival": await key("rival", BOTH),
            "narrow": await key(
                "acme", BOTH, models=("right",), regions=frozenset({"eu"}), expires_in_s=1_000
            ),
            "client": KEY,
            "junk": "tg-admin-junk",
        }
        bench = Bench(service, keys)
        yield bench
        await bench.http.aclose()


async def test_a_key_from_its_making_to_its_end(admin: Bench) -> None:
    budgets = [{"usd": 0.5, "per": "day"}, {"at_once": 3, "mode": "soft"}]
    told = await admin.made(models=["right"], regions=["eu"], expires_in_s=60, budgets=budgets)
    key, key_id = told.pop("key"), told["id"]
    assert re.fullmatch(r"tg-acme-[\w-]{43}", key)
    assert (told["tenant"], told["last4"], told["models"]) == ("acme", key[-4:], ["right"])
    assert (told["regions"], told["expires_at"] - told["created_at"]) == (["eu"], 60)
    assert told["budgets"] == [
        {"usd": 0.5, "mode": "hard", "per": "day", "rolling": False},
        {"at_once": 3, "mode": "soft"},
    ]
    assert await admin.answers(key) == 200, "at once"
    assert await admin.answers(key, model="other") == 403

    assert (await admin("root", "GET", f"/keys/{key_id}")).json() == told
    listed = (await admin("root", "GET", "/keys")).json()
    assert told in listed["data"]

    response = await admin("root", "POST", f"/keys/{key_id}/rotate", json={"overlap_s": 30})
    assert response.headers["cache-control"] == "no-store"
    after = response.json()
    assert after["key"] not in {key, None}
    assert len(after["former_until"]) == 1
    assert [await admin.answers(k) for k in (key, after["key"])] == [200, 200]
    response = await admin("root", "POST", f"/keys/{key_id}/rotate", json={"overlap_s": 0})
    assert [await admin.answers(k) for k in (key, after["key"])] == [200, 401]

    response = await admin("root", "DELETE", f"/keys/{key_id}")
    assert response.json() == {"id": key_id, "object": "key", "deleted": True}
    assert await admin.answers(key) == 401, "with all its former keys"
    assert (await admin("root", "GET", f"/keys/{key_id}")).status_code == 404


async def test_usage_names_the_key(admin: Bench) -> None:
    told = await admin.made()
    admin.service.events.clear()
    assert await admin.answers(told["key"]) == 200
    abouts = {event.about.key for event in admin.service.events if hasattr(event, "about")}
    assert abouts == {told["id"]}


BAD: list[tuple[str, str, str, Any, int, str, str | None]] = [
    ("", "GET", "/keys", None, 401, "invalid_api_key", None),
    ("junk", "GET", "/keys", None, 401, "invalid_api_key", None),
    ("client", "GET", "/keys", None, 401, "invalid_api_key", None),
    ("junk", "GET", "/tenants/acme/budgets", None, 401, "invalid_api_key", None),
    ("junk", "DELETE", "/keys/key_1", None, 401, "invalid_api_key", None),
    ("junk", "POST", "/keys/key_1/rotate", None, 401, "invalid_api_key", None),
    ("reader", "POST", "/keys", {"tenant": "acme"}, 403, "not_permitted", None),
    ("reader", "DELETE", "/keys/k1", None, 403, "not_permitted", None),
    ("reader", "POST", "/keys/k1/rotate", None, 403, "not_permitted", None),
    ("writer", "GET", "/keys", None, 403, "not_permitted", None),
    ("writer", "GET", "/keys/k1?tenant=acme", None, 403, "not_permitted", None),
    ("writer", "GET", "/tenants/acme/budgets", None, 403, "not_permitted", None),
    ("writer", "POST", "/keys", {"tenant": "acme", "admin": ["read"]}, 403, "not_permitted", None),
    ("acme", "POST", "/keys", {"tenant": "rival"}, 403, "not_permitted", None),
    ("acme", "POST", "/keys", {"admin": ["read"]}, 403, "not_permitted", None),
    ("acme", "GET", "/tenants/rival/budgets", None, 404, "not_found", None),
    ("root", "GET", "/tenants/nobody/budgets", None, 404, "not_found", None),
    ("narrow", "POST", "/keys", {"tenant": "acme", "models": ["*"]}, 403, "not_permitted", None),
    ("narrow", "POST", "/keys", {"tenant": "acme", "models": ["r*"]}, 403, "not_permitted", None),
    ("narrow", "POST", "/keys", {"tenant": "acme", "regions": ["us"]}, 403, "not_permitted", None),
    ("narrow", "POST", "/keys", {"tenant": "acme", "expires_in_s": 1e6}, 403, "not_permitted",
     None),
    ("root", "POST", "/keys", {"tenant": "nobody"}, 400, "invalid_request", "tenant"),
    ("root", "POST", "/keys", {}, 400, "invalid_request", "tenant"),
    ("root", "POST", "/keys", [], 400, "invalid_request", None),
    ("root", "POST", "/keys", {"tenant": 7}, 400, "invalid_request", "tenant"),
    ("root", "POST", "/keys", {"tenant": "acme", "x": 1}, 400, "invalid_request", None),
    ("root", "POST", "/keys", {"tenant": "acme", "models": []}, 400, "invalid_request", "models"),
    ("root", "POST", "/keys", {"tenant": "acme", "models": ["a\n"]}, 400, "invalid_request",
     "models"),
    ("root", "POST", "/keys", {"tenant": "acme", "models": ["x"] * 101}, 400, "invalid_request",
     "models"),
    ("root", "POST", "/keys", {"tenant": "rival", "models": ["right"]}, 400, "invalid_request",
     "models"),
    ("root", "POST", "/keys", {"tenant": "acme", "regions": ["mars"]}, 400, "invalid_request",
     "regions"),
    ("root", "POST", "/keys", {"tenant": "acme", "admin": ["all"]}, 400, "invalid_request",
     "admin[0]"),
    ("root", "POST", "/keys", {"tenant": "acme", "expires_in_s": 0}, 400, "invalid_request",
     "expires_in_s"),
    ("root", "POST", "/keys", {"tenant": "acme", "budgets": [{"usd": 1}]}, 400, "invalid_request",
     "budgets[0].per"),
    ("root", "POST", "/keys", {"tenant": "acme", "budgets": [{"per": "day"}]}, 400,
     "invalid_request", "budgets[0]"),
    ("root", "POST", "/keys", {"tenant": "acme", "budgets": [{"usd": "NaN", "per": "day"}]}, 400,
     "invalid_request", "budgets[0].usd"),
    ("root", "POST", "/keys", {"tenant": "acme", "budgets": [{"usd": -1, "per": "day"}]}, 400,
     "invalid_request", "budgets[0].usd"),
    ("root", "POST", "/keys", {"tenant": "acme", "budgets": [{"usd": 1, "per": "day"}] * 2}, 400,
     "invalid_request", "budgets"),
    ("root", "POST", "/keys", {"tenant": "acme", "budgets": [{"at_once": 1, "per": "day"}]}, 400,
     "invalid_request", "budgets[0]"),
    ("root", "POST", "/keys", {"tenant": "a" * 200_000}, 413, "request_too_large", None),
    ("root", "GET", "/keys/key_0", None, 404, "not_found", None),
    ("root", "DELETE", "/keys/key_0", None, 404, "not_found", None),
    ("root", "POST", "/keys/key_0/rotate", None, 404, "not_found", None),
    ("root", "GET", "/keys/k1", None, 400, "invalid_request", "tenant"),
    ("root", "DELETE", "/keys/k1?tenant=acme", None, 409, "conflict", None),
    ("acme", "DELETE", "/keys/k1", None, 409, "conflict", None),
    ("root", "POST", "/keys/early/rotate", None, 409, "conflict", None),
    ("root", "POST", "/keys/k1/rotate", {"overlap_s": -1}, 400, "invalid_request", "overlap_s"),
    ("root", "POST", "/keys/k1/rotate", {"overlap_s": 1e300}, 400, "invalid_request", "overlap_s"),
    ("root", "GET", "/tenants/acme/budgets?key=early&tenant=", None, 404, "not_found", None),
    ("root", "PUT", "/keys", None, 405, "method_not_allowed", None),
    ("root", "GET", "/nothing", None, 404, "not_found", None),
    ("root", "GET", "/keys/", None, 404, "not_found", None),
    ("root", "POST", "/keys/k1/rotate/", None, 404, "not_found", None),
]  # fmt: skip


async def test_a_path_without_a_door_says_where_the_doors_are(admin: Bench) -> None:
    response = await admin("root", "GET", "/nothing")
    assert "The admin API is at /admin/v1" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/keys", "GET, POST"), ("POST", "/keys/k1", "DELETE, GET")],
)
async def test_a_door_says_which_methods_it_takes(
    admin: Bench, method: str, path: str, allowed: str
) -> None:
    response = await admin("root", method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(("who", "method", "path", "body", "status", "code", "param"), BAD)
async def test_each_wrong_request(  # noqa: PLR0917 - a row
    admin: Bench,
    who: str,
    method: str,
    path: str,
    body: Any,
    status: int,
    code: str,
    param: str | None,
) -> None:
    before = (await admin("root", "GET", "/keys")).json()["data"]
    response = await admin(who, method, path, **({} if body is None else {"json": body}))
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert (error["code"], error["param"]) == (code, param)
    after = (await admin("root", "GET", "/keys")).json()["data"]
    assert [k["id"] for k in after] == [k["id"] for k in before], "nothing was done"


@pytest.mark.parametrize("path", ["/keys", "/keys/k1/rotate"])
@pytest.mark.parametrize("body", [b'{"tenant":"\xff"}', b'{"\xff":1}', b"{", b"\xff"])
async def test_a_body_that_is_no_json(admin: Bench, path: str, body: bytes) -> None:
    response = await admin("root", "POST", path, content=body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == "invalid_request"


async def test_a_tenants_admin_sees_only_its_own(admin: Bench) -> None:
    mine, theirs = await admin.made("acme"), await admin.made("rival", tenant="rival")
    listed = (await admin("acme", "GET", "/keys")).json()["data"]
    assert {key["tenant"] for key in listed} == {"acme"}
    assert {"k1", mine["id"]} <= {key["id"] for key in listed}
    assert theirs["id"] not in {key["id"] for key in listed}
    for method, path in (
        ("GET", theirs["id"]), ("DELETE", theirs["id"]), ("POST", f"{theirs['id']}/rotate"),
    ):  # fmt: skip
        assert (await admin("acme", method, f"/keys/{path}")).status_code == 404
    assert await admin.answers(theirs["key"], model="other") == 200, "it is untouched"
    both = (await admin("root", "GET", "/keys?tenant=rival")).json()["data"]
    assert {key["tenant"] for key in both} == {"rival"}


async def test_a_child_is_as_narrow_as_its_creator(admin: Bench) -> None:
    told = await admin.made("narrow")
    assert (told["models"], told["regions"]) == (["right"], ["eu"])
    assert told["expires_at"] is not None, "nor does it live longer"
    wide = await admin.made("root")
    response = await admin("narrow", "POST", f"/keys/{wide['id']}/rotate")
    assert response.status_code == 403, "who rotates a key would have all that it has"
    assert (await admin("narrow", "DELETE", f"/keys/{wide['id']}")).status_code == 200


async def test_where_budgets_stand(admin: Bench) -> None:
    told = await admin.made(budgets=[{"usd": 0.25, "per": "day"}])
    assert await admin.answers(told["key"]) == 200

    async def scopes(who: str, query: str) -> dict[str, list[Any]]:
        response = await admin(who, "GET", f"/tenants/acme/budgets{query}")
        assert response.status_code == 200, response.text
        found: dict[str, list[Any]] = {}
        for each in response.json()["data"]:
            found.setdefault(each["scope"], []).append(each)
        return found

    whole = await scopes("root", f"?user=ann&key={told['id']}")
    assert list(whole) == ["organisation", "tenant", "user", "key"]
    (own,) = whole["key"]
    assert (own["name"], own["meter"], own["per"], own["cap"]) == (told["id"], "usd", "day", 0.25)
    assert own["spent"] > 0
    assert own["left"] == pytest.approx(0.25 - own["spent"])
    assert [each["meter"] for each in whole["tenant"]] == ["usd", "requests"]
    assert whole["tenant"][1]["spent"] >= 1
    assert list(await scopes("acme", "")) == ["tenant"], "what others share is not for it"


async def test_a_secret_is_in_one_answer_only(admin: Bench) -> None:
    told = await admin.made()
    secret = told["key"].removeprefix("tg-").partition("-")[2]
    assert len(secret) > 30, "the part that nobody can guess"
    paths = ["/keys", f"/keys/{told['id']}", "/tenants/acme/budgets"]
    texts = [(await admin("root", "GET", path)).text for path in paths]
    rotated = await admin("root", "POST", f"/keys/{told['id']}/rotate")
    texts.append(rotated.text)
    texts.append((await admin("root", "DELETE", f"/keys/{told['id']}")).text)
    for text in texts:
        assert told["key"] not in text
        assert secret not in text
        assert "sha256" not in text, "nor its digest"


async def test_an_admin_key_does_not_open_the_public_port(admin: Bench) -> None:
    for who in ("root", "acme"):
        assert await admin.answers(admin.keys[who]) == 401


async def test_the_admin_api_is_not_on_the_public_port(admin: Bench) -> None:
    headers = {"authorization": f"Bearer {admin.keys['root']}"}
    async with httpx.AsyncClient(base_url=admin.service.url, headers=headers) as client:
        for method, path in (
            ("GET", "/admin/v1/keys"), ("POST", "/admin/v1/keys"), ("GET", "/admin"),
            ("GET", "/admin/v1/tenants/acme/budgets"),
        ):  # fmt: skip
            assert (await client.request(method, path)).status_code == 404


class Racing(MemoryKeys):
    """Somebody else is always a little faster."""

    async def save(self, record: Any) -> bool:
        await super().remove(record.id)
        return await super().save(record)


async def test_of_two_rotations_at_once_one_is_told(admin: Bench) -> None:
    issuer = Issuer(Racing(), admin.service.snapshot, random=bytes, wall=lambda: 1.0)
    operator = Actor("test", Scopes(admin=BOTH))
    made = await issuer.create(operator, Wish("acme"))
    with pytest.raises(Exception, match="changed meanwhile") as caught:
        await issuer.rotate(operator, made.record.id, 0)
    assert getattr(caught.value, "status", None) == 409
    assert repr(made.key) == "Secret(...)"


@pytest.mark.parametrize(("who", "path"), [("root", "/keys"), ("", "/keys"), ("root", "/nothing")])
async def test_each_answer_bears_an_id(admin: Bench, who: str, path: str) -> None:
    ids = [(await admin(who, "GET", path)).headers["x-request-id"] for _ in range(2)]
    assert re.fullmatch(r"req_\w{24,}", ids[0])
    assert ids[0] != ids[1]
