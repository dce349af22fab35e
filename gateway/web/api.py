"""Every door that is not hot: models, health, metrics, explain. FastAPI, and a front before it."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from msgspec import structs

from gateway.core.catalog import Catalog, Model
from gateway.core.errors import NotFound, UnknownModel
from gateway.core.explain import explain
from gateway.core.explain.analyze import analyze
from gateway.core.explain.prices import rates, search_fee
from gateway.core.features import Features, read_features
from gateway.core.first_rung import begin
from gateway.core.patterns import allowed
from gateway.core.plan import Plan, PlanContext, make_plan, peak_price
from gateway.core.prompt_caches import beginning
from gateway.core.records.line import Line
from gateway.core.rule_traits import climbed
from gateway.core.snapshot import Snapshot
from gateway.core.tags import tagged
from gateway.core.tokens import count
from gateway.web.asgi import AsgiClient, Receive, Scope, Send
from gateway.web.callers import Caller
from gateway.web.door import PATH, Door, find_ladder, read_body
from gateway.web.failures import tell_failures
from gateway.web.headers import read_headers
from gateway.web.named import Named
from gateway.web.parse import read_request

_COMMON: Final = {"object": "model", "created": 0}

Probe = Callable[[str], Awaitable[str | None]]
"""Asked of a tenant's. None when what it probes is well; otherwise what is wrong."""


Find = Callable[[str, str], Awaitable[Sequence[Line]]]
"""The records of a request, by its home and its id. Raises LedgerDown."""


async def _nothing(home: str, request_id: str) -> Sequence[Line]:
    return ()


class Front:
    """The whole HTTP face: the hot door first, FastAPI for every other path."""

    def __init__(self, door: Door, api: FastAPI) -> None:
        self.door = door
        self.api = Named(door, api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await self.door.serve(
                AsgiClient(scope["headers"], receive, send, self.door.client_gone)
            )
        else:
            await self.api(scope, receive, send)


class Api:
    """The handlers. `metrics` gives a scrape's text, `ledger` says whether money can be held."""

    def __init__(
        self,
        door: Door,
        snapshot: Snapshot,
        metrics: Callable[[], Awaitable[bytes]],
        ledger: Probe,
        version: str,
    ) -> None:
        self.door = door
        self.metrics = metrics
        self.ledger = ledger
        self.version = version
        self.find: Find = _nothing
        """The records of a request."""
        self.reconfigure(snapshot)

    def reconfigure(self, snapshot: Snapshot) -> None:
        """List what this configuration has."""
        self.models = {entry["id"]: entry for entry in list_models(snapshot.catalog)}
        self.deployed = {entry["id"]: entry for entry in list_deployed(snapshot.catalog)}
        self.tenant = next(iter(snapshot.tenants))
        self.log_content = "off" if snapshot.log is None else snapshot.log.content

    def app(self) -> FastAPI:
        """The routes, each error in OpenAI's shape."""
        # A redirect would name whatever `Host` the client sent, and http even behind TLS.
        app = FastAPI(
            title="Tollgate",
            version=self.version,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        tell_failures(app)
        app.add_api_route(PATH, self.post_only, methods=["POST"], include_in_schema=False)
        for path, read in (
            ("/livez", self.livez),
            ("/readyz", self.readyz),
            ("/metrics", self.scrape),
            ("/v1/models", self.list_models),
            ("/v1/models/{name:path}", self.one_model),
        ):
            app.add_api_route(path, read, openapi_extra=_names_in(path))
            app.add_api_route(path, read, methods=["HEAD"], include_in_schema=False)
        app.add_api_route("/v1/route/explain", self.explain, methods=["POST"])
        analyses = "/v1/route/explain/{request_id}"
        app.add_api_route(analyses, self.analyze, openapi_extra=_names_in(analyses))
        return app

    async def post_only(self) -> Response:
        """What else is asked of this path, by whatever method, its route refuses."""
        raise RuntimeError("the front takes these")

    async def livez(self) -> Response:
        """Whether the process serves; never asks Redis."""
        return _json({"status": "live", "version": self.version})

    async def readyz(self) -> Response:
        if self.door.draining:
            return _json({"status": "draining"}, 503)
        wrong = await self.ledger(self.tenant)
        state = {"status": "ready" if wrong is None else "not ready", "ledger": wrong or "ok"}
        body = {**state, "log_content": self.log_content}
        return _json(body, 200 if wrong is None else 503)

    async def scrape(self) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(await self.metrics(), media_type=kind)

    async def list_models(self, request: Request) -> Response:
        patterns = (await self._caller(request)).tenant.models
        shown = [entry for name, entry in self.models.items() if allowed(patterns, name)]
        return _json({"object": "list", "data": shown})

    async def one_model(self, request: Request) -> Response:
        patterns = (await self._caller(request)).tenant.models
        name: str = request.path_params["name"]
        entry = self.models.get(name) or self.deployed.get(name)
        names = {name, name.rpartition("/")[2]}  # who may ask for a model may say where
        if entry is None or not any(allowed(patterns, each) for each in names):
            raise UnknownModel(f"The model '{name[:100]}' does not exist here.", param="model")
        return _json(entry)

    async def explain(self, request: Request) -> Response:
        """The plan of a chat request, made as its life would; no call is made."""
        here = self.door.now
        world = here.world
        headers = read_headers(request.headers.raw, here.limits)
        caller = await here.keyring.admit(headers.authorization)
        body = await read_body(headers, request.receive, here.limits.body_bytes)
        asked = read_request(body, headers.extras, here.limits.json_depth)
        moved, named = find_ladder(world, asked.model).of_tenant(caller.tenant.name)
        now = world.wall()
        tags, home = tagged(asked.extras.tags, here.tags), caller.tenant.regions
        rule, ladder = climbed(named, asked, tags, now, home)
        features = read_features(asked)
        down = world.health.down(world.clock())
        context = PlanContext(caller.tenant, down, world.factors, world.pace, wall=now)
        if ladder.ordered and (begins := beginning(asked)) is not None:
            warm = world.warmth.warm(begins[0], world.clock())
            context = structs.replace(context, warm=warm, prefix=count(begins[1]))

        def made(features: Features) -> Plan:
            return make_plan(ladder, features, context, world.draw)

        def planned(features: Features) -> Plan:
            if down:
                return made(features)
            return world.plans.plan(ladder, features, caller.tenant, world.factors.version, made)

        plan = planned(features)
        if not plan.rungs and (exact := await world.exact_tokens(asked)) is not None:
            bound = structs.replace(features.bound, exact=exact)
            features = structs.replace(features, bound=bound)
            plan = planned(features)
        plan, _ = begin(ladder, plan, asked, features)
        guard = None
        if world.audits is not None:
            ladder, plan, guard = world.audits.foresee(asked, ladder, plan)
        explained = explain(asked, features, plan, ladder, rule, context, world.ladders)
        return _json({**explained, "canary": moved or None, "guard": guard})

    async def analyze(self, request: Request) -> Response:
        """What became of a finished request of the caller's own tenant."""
        tenant = (await self._caller(request)).tenant
        request_id: str = request.path_params["request_id"]
        home = tenant.organisation.name if tenant.organisation else tenant.name
        found = await self.find(home, request_id)
        mine = [line for line in found if line.tenant == tenant.name]
        analyzed = analyze(request_id, mine, self.door.now.world.ladders)
        if analyzed is None:
            raise NotFound(
                f"No record of a request '{request_id[:100]}': it is not one of yours, it is not "
                "over, it made no call (an answer that was kept makes none), or it is too old.",
                param="request_id",
            )
        return _json(analyzed)

    async def _caller(self, request: Request) -> Caller:
        here = self.door.now
        headers = read_headers(request.headers.raw, here.limits)
        return await here.keyring.admit(headers.authorization)


def _names_in(path: str) -> dict[str, Any]:
    """What /openapi.json says of them. FastAPI would say it, too, of parameters of the handlers,
    but imports all of pydantic.v1 to look at their types: a thirtieth of a start.
    """
    about = {"in": "path", "required": True, "schema": {"type": "string"}}
    names = re.findall(r"{(\w+)", path)
    return {"parameters": [{"name": name, **about} for name in names]} if names else {}


def list_models(catalog: Catalog) -> list[dict[str, Any]]:
    """Routes, tiers and models as OpenAI lists models, with what we know of them beside it."""
    common = {**_COMMON, "owned_by": "tollgate"}
    listed: list[dict[str, Any]] = []
    for route in catalog.routes.values():
        checks = [check.name for check in route.checks]
        about = {"tiers": list(route.tiers), "strategy": route.strategy.name, "checks": checks}
        listed.append({"id": route.name, **common, "kind": "route", **about})
    for tier in catalog.tiers.values():
        names = [entry.model for entry in tier.models]
        listed.append({"id": tier.name, **common, "kind": "tier", "models": names})
    return listed + [_entry(model.name, model) for model in catalog.models.values()]


def list_deployed(catalog: Catalog) -> list[dict[str, Any]]:
    """Each "provider/model": as its model, of that one host."""
    return [
        _entry(host.name, structs.replace(model, deployments=(host,), price=price))
        for model in catalog.models.values()
        for host in model.deployments
        for price in (peak_price(model, host, 0),)
    ]


def _entry(name: str, model: Model) -> dict[str, Any]:
    return {"id": name, **_COMMON, "kind": "model", **_about(model)}


def _about(model: Model) -> Mapping[str, Any]:
    tariff = model.deployments[0].tariff
    steps = () if tariff is None else tariff.rises()
    return {
        "owned_by": model.deployments[0].provider,
        "providers": [deployment.provider for deployment in model.deployments],
        "regions": sorted({region for each in model.deployments for region in each.regions}),
        "context": model.context,
        "usable_context": model.usable_context,
        "max_output": model.max_output,
        "capabilities": sorted(model.capabilities),
        "price_usd_per_million_tokens": rates(model.price),
        **search_fee(model.price),
        "price_steps": [{"above": step.above, **rates(step.price)} for step in steps],
    }


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
