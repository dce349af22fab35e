"""The admin API: keys and budgets, under /admin/v1. It is served on a port of its own, with keys
of its own, and is no part of the public face.
"""

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import FastAPI, Request, Response
from msgspec import structs
from starlette.types import ASGIApp

from gateway.core.accounts import EACH, Purse
from gateway.core.catalog import Tenant
from gateway.core.changes import Reloaded
from gateway.core.errors import Conflict, InvalidRequest, NotFound, NotPermitted
from gateway.core.keys import Actor, client_key
from gateway.core.ports import Ledger
from gateway.core.snapshot import Limits, Snapshot
from gateway.web.admin_json import (
    balance_json,
    key_json,
    read_overlap,
    read_wish,
    reloaded_json,
)
from gateway.web.callers import Caller
from gateway.web.door import Door, read_body
from gateway.web.failures import tell_failures
from gateway.web.headers import read_headers
from gateway.web.issuer import Issued, Issuer, may
from gateway.web.named import Named

PREFIX = "/admin/v1"
_NOTHING = f"There is nothing at this path. The admin API is at {PREFIX}: docs/keys.md."
_BODY_BYTES = 100_000


class Admin:
    """The handlers. Each asks who it is before anything else."""

    def __init__(
        self, door: Door, issuer: Issuer, ledger: Ledger, snapshot: Snapshot, version: str
    ) -> None:
        self.door = door
        self.issuer = issuer
        self.ledger = ledger
        self.limits = Limits(body_bytes=_BODY_BYTES)
        self.version = version
        self.reload: Callable[[str], Awaitable[Reloaded]] | None = None
        """Reads the configuration again, for a reason. Raises ConfigRefused."""
        self.reconfigure(snapshot)

    def reconfigure(self, snapshot: Snapshot) -> None:
        """Go by this configuration from now on."""
        self.tenants = snapshot.tenants

    def app(self) -> ASGIApp:
        """The routes, each error in OpenAI's shape."""
        app = FastAPI(
            title="Tollgate admin",
            version=self.version,
            openapi_url=None,
            redirect_slashes=False,  # as the public ones: web/api.py
        )
        tell_failures(app, lambda _: _NOTHING)
        keys, one = f"{PREFIX}/keys", f"{PREFIX}/keys/{{key_id}}"
        app.add_api_route(keys, self.create, methods=["POST"])
        app.add_api_route(keys, self.list_keys)
        app.add_api_route(one, self.one_key)
        app.add_api_route(one, self.revoke, methods=["DELETE"])
        app.add_api_route(f"{one}/rotate", self.rotate, methods=["POST"])
        app.add_api_route(f"{PREFIX}/tenants/{{tenant}}/budgets", self.budgets)
        app.add_api_route(f"{PREFIX}/reload", self.read_again, methods=["POST"])
        return Named(self.door, app)

    async def create(self, request: Request) -> Response:
        by, body = await self._authenticate(request)
        return _issued(await self.issuer.create(by, read_wish(body)), 201)

    async def list_keys(self, request: Request) -> Response:
        by, _ = await self._authenticate(request)
        found = await self.issuer.all(by, request.query_params.get("tenant"))
        return _json({"object": "list", "data": [key_json(each) for each in found]})

    async def one_key(self, key_id: str, request: Request) -> Response:
        by, _ = await self._authenticate(request)
        tenant = request.query_params.get("tenant")
        return _json(key_json(await self.issuer.find(by, key_id, tenant)))

    async def revoke(self, key_id: str, request: Request) -> Response:
        by, _ = await self._authenticate(request)
        await self.issuer.revoke(by, key_id, request.query_params.get("tenant"))
        return _json({"id": key_id, "object": "key", "deleted": True})

    async def rotate(self, key_id: str, request: Request) -> Response:
        by, body = await self._authenticate(request)
        tenant = request.query_params.get("tenant")
        return _issued(await self.issuer.rotate(by, key_id, read_overlap(body), tenant), 200)

    async def budgets(self, tenant: str, request: Request) -> Response:
        """Where a tenant's budgets stand, with `?user=` or `?key=` also theirs."""
        by, _ = await self._authenticate(request)
        may(by, "read")
        whose = self.tenants.get(tenant)
        if whose is None or by.tenant not in {"", tenant}:
            raise NotFound("There is no tenant of this name.")
        purse = await self._purse(by, whose, request)
        balances = await self.ledger.balances(purse)
        return _json({"object": "list", "data": [balance_json(each) for each in balances]})

    async def read_again(self, request: Request) -> Response:
        """Go by what the configuration's files say now."""
        by, _ = await self._authenticate(request)
        may(by, "write")
        if by.tenant:
            raise NotPermitted("A key of one tenant cannot reload what is everybody's.")
        if self.reload is None:
            raise Conflict("There is nothing to read again here.")
        return _json(reloaded_json(await self.reload(f"asked by {by.id}")))

    async def _purse(self, by: Actor, tenant: Tenant, request: Request) -> Purse:
        """What is shared with other tenants is shown to those only who see them all."""
        key_id, key = request.query_params.get("key"), None
        if key_id is not None:
            record = (await self.issuer.find(by, key_id, tenant.name)).record
            if record.scopes.admin:
                raise InvalidRequest("An admin key has no budget.", param="key")
            key = client_key(record, record.digest)
        purse = Caller(tenant, key).purse(request.query_params.get("user"))
        accounts = (*purse.accounts, *(each for each in purse.per_call if each.name != EACH))
        shown = tuple(each for each in accounts if each.owner or not by.tenant)
        return structs.replace(purse, accounts=shown, per_call=())

    async def _authenticate(self, request: Request) -> tuple[Actor, bytes]:
        headers = read_headers(request.headers.raw, self.limits)
        by = await self.door.now.keyring.admit_admin(headers.authorization)
        return by, await read_body(headers, request.receive, self.limits.body_bytes)


def _issued(issued: Issued, status: int) -> Response:
    """The only answer that a key is in: nobody may keep it."""
    fields = key_json(issued.record) | {"key": str(issued.key)}
    return _json(fields, status, {"cache-control": "no-store"})


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")
