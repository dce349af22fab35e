"""Puts the rooms together: from a snapshot to a gateway that can be served.

With stores.py the only module that names concrete drivers.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.types import ASGIApp

from gateway import __version__
from gateway.core.events import CircuitMoved
from gateway.core.health import Health, RetryBudget
from gateway.core.keys import KeyStore
from gateway.core.ladder import ladders
from gateway.core.observers import Handlers, observer, of_all
from gateway.core.ports import LedgerDriver, Observer, Upstream
from gateway.core.prompt_caches import Warmth, lifetimes
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Snapshot
from gateway.drivers.background import in_background, keep_running, stop
from gateway.drivers.deprecations import Deprecations
from gateway.drivers.exact_tokens import ExactTokens
from gateway.drivers.ledger.janitor import MAX_GROUPS, ActiveHomes, Janitor
from gateway.drivers.ledger.local_ledger import LocalLedger
from gateway.drivers.ledger.sweeper import Sweeper
from gateway.drivers.logs_and_traces import open_logs_and_traces
from gateway.drivers.metrics.prometheus import Metrics
from gateway.drivers.upstream.open import Tap, Upstreams, open_upstreams
from gateway.drivers.usage.open import homes_of, open_sink
from gateway.drivers.usage.sink import ChangedHomes
from gateway.drivers.webhook import Webhook, make_post
from gateway.drivers.webhook_check import WebhookChecks
from gateway.reload import LiveParts, Reload, Source, no_source
from gateway.stores import (
    find_request,
    new_ids,
    open_audits,
    open_hits,
    open_keys,
    open_ledger,
    open_responses,
    probe,
    server,
)
from gateway.web.admin import Admin
from gateway.web.api import Api, Front
from gateway.web.door import Door, Generation
from gateway.web.headers import read_headers
from gateway.web.issuer import Issuer
from gateway.web.key_watch import KeyWatch
from gateway.web.keys import Keyring
from gateway.world import World

_NO_ENV: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway in the running loop: `front` is its ASGI app."""

    front: Front
    metrics: Metrics
    issuer: Issuer
    admin: Callable[[], ASGIApp]
    """Makes the app of the admin API, for whoever is to serve it."""
    reload: Reload
    """Reads the configuration again, and goes by it."""
    warming: Callable[[], AbstractAsyncContextManager[None]]
    """Meanwhile connections are opened for the first requests, which need not wait for that."""

    @property
    def world(self) -> World:
        """Of those who come now."""
        return self.front.door.now.world


@asynccontextmanager
async def open_gateway(
    snapshot: Snapshot,
    observers: Sequence[Observer] = (),
    workers_dir: str | None = None,
    env: Mapping[str, str] = _NO_ENV,
    source: Source | None = None,
    redactor: Redactor | None = None,
) -> AsyncIterator[Gateway]:
    """Everything started, and stopped at the end. `observers` are told each event, too.

    `env` is where AWS's and Google's credentials may be named, `source` where the configuration
    is read from again. `redactor` is one that others use, too.
    """
    metrics = Metrics(workers_dir=workers_dir)
    metrics.reconfigure(snapshot)
    async with AsyncExitStack() as stack:
        stack.callback(metrics.close)
        opened = open_logs_and_traces(snapshot, time.time, redactor or Redactor())
        written = await stack.enter_async_context(opened)
        handlers = [metrics.handlers, *written.handlers, *map(of_all, observers)]
        scene = await stack.enter_async_context(_open_scene(snapshot, handlers, env, written.tap))
        world, ledger = scene.world, scene.ledger

        async def scrape() -> bytes:
            await scene.janitor.before_scrape()
            return metrics.render()

        watch, keyring, issuer = await stack.enter_async_context(open_keyring(snapshot))
        door = Door(Generation(world, keyring, snapshot.limits, snapshot.tags))
        door.read = written.wrap_header_reader(read_headers)
        api = Api(door, snapshot, scrape, partial(probe, ledger), __version__)
        api.find = find_request(ledger)
        admin = Admin(door, issuer, ledger, snapshot, __version__)
        parts = (
            *scene.parts,
            metrics.reconfigure,
            written.reconfigure,
            issuer.reconfigure,
            api.reconfigure,
            admin.reconfigure,
        )
        live = LiveParts(door, scene.upstreams, watch, make_keyring, scene.observer, parts)
        where = source or no_source(snapshot)
        reload = Reload(where, live.reconfigure, observe=scene.observe, wall=time.time)
        admin.reload = reload

        def warming() -> AbstractAsyncContextManager[None]:
            return in_background(scene.upstreams.warm(snapshot))

        yield Gateway(Front(door, api.app()), metrics, issuer, admin.app, reload, warming)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is opened for requests, and how it goes by another configuration. `observe` is told
    what is no request's, `observer` makes what a configuration's requests tell.
    """

    world: World
    ledger: LedgerDriver
    upstreams: Upstreams
    janitor: Janitor
    observe: Observer
    observer: Callable[[Snapshot], Observer]
    parts: Sequence[Callable[[Snapshot], None]]


@asynccontextmanager
async def _open_scene(
    snapshot: Snapshot, handlers: Sequence[Handlers], env: Mapping[str, str], tap: Tap
) -> AsyncIterator[_Scene]:
    moved, awake = ChangedHomes(), ActiveHomes()
    handlers = [*handlers, *([] if snapshot.usage.sink is None else [moved.handlers])]
    observe = observer(*handlers)
    async with AsyncExitStack() as stack:
        counts = observer(handlers[0])
        webhook = await stack.enter_async_context(open_webhook(snapshot, counts))

        def telling(its: Snapshot) -> Observer:
            old = Deprecations(its.catalog.models, time.monotonic)
            asked = [
                *([old.handlers] if old.deprecated else ()),
                *([awake.handlers] if len(its.tenants) > MAX_GROUPS else ()),
                *([webhook.handlers] if its.alerts.webhook is not None else ()),
            ]
            return observer(*handlers, *asked)

        ledger = await stack.enter_async_context(open_ledger(snapshot, observe))
        opened = open_sink(snapshot, server(snapshot.ledger), ledger, moved, observe, time.time)
        sink = await stack.enter_async_context(opened)
        upstreams = await stack.enter_async_context(open_upstreams(env, time.time, tap))
        runner = WebhookChecks(connect_s=snapshot.timeouts.connect_s)
        audits = await stack.enter_async_context(open_audits(snapshot, ledger, observe))
        responses = await stack.enter_async_context(open_responses(snapshot))
        world = World(
            ladders=ladders(snapshot.catalog),
            ledger=ledger,
            upstream=await upstreams.reconfigure(snapshot),
            health=Health(_deployments(snapshot), lambda *now: observe(CircuitMoved(*now))),
            warmth=Warmth(lifetimes(snapshot.catalog)),
            retries=RetryBudget(),
            observe=telling(snapshot),
            clock=time.monotonic,
            wall=time.time,
            sleep=asyncio.sleep,
            draw=random.Random().random,  # noqa: S311 - which equal is asked is no secret
            new_id=new_ids(),
            timeouts=snapshot.timeouts,
            exact_tokens=ExactTokens(env),
            runner=await stack.enter_async_context(runner),
            audits=audits,
            responses=responses,
            record_cache_hit=await stack.enter_async_context(open_hits(ledger)),
        )
        there = tuple(snapshot.tenants.values())
        janitor = Janitor(
            ledger,
            there,
            observe,
            awake,
            lambda: world.retries.left(world.clock()),
            show_circuits=lambda: world.health.show(world.clock()),
        )
        sweeper = await stack.enter_async_context(keeping_house(janitor, snapshot, ledger))

        def reconfigure(new: Snapshot) -> None:
            there = tuple(new.tenants.values())
            janitor.reconfigure(there)
            sweeper.reconfigure(homes_of(there))
            if sink is not None:
                sink.reconfigure(homes_of(there))
            if isinstance(ledger, LocalLedger):
                ledger.reconfigure(there)
            webhook.reconfigure(make_post(new.alerts.webhook or ""))
            runner.reconfigure(new.timeouts.connect_s)
            audits.guards.know(ladders(new.catalog).values())
            responses.reconfigure(new.limits.cache_bytes)

        yield _Scene(world, ledger, upstreams, janitor, observe, telling, (reconfigure,))


@asynccontextmanager
async def keeping_house(
    janitor: Janitor, snapshot: Snapshot, ledger: LedgerDriver
) -> AsyncIterator[Sweeper]:
    """Reads budgets for metrics and charges expired holds, in the background."""
    homes, ttl_s = homes_of(snapshot.tenants.values()), snapshot.ledger.hold_ttl_s
    sweeper = Sweeper(ledger, homes, ttl_s, time.monotonic)
    tasks = [
        asyncio.create_task(
            keep_running("the look at budgets", partial(janitor.run, asyncio.sleep))
        ),
        asyncio.create_task(keep_running("expired holds", partial(sweeper.run, asyncio.sleep))),
    ]
    try:
        yield sweeper
    finally:
        for task in tasks:
            await stop(task)


@asynccontextmanager
async def open_keyring(snapshot: Snapshot) -> AsyncIterator[tuple[KeyWatch, Keyring, Issuer]]:
    """The keys of the snapshot and those that are kept beside the ledger, and what makes more."""
    keyring = make_keyring(snapshot)
    async with open_keys(snapshot) as store:
        watch = KeyWatch(store, keyring, clock=time.monotonic, wall=time.time, sleep=asyncio.sleep)
        await watch.refresh()
        watching = asyncio.create_task(keep_running("the watch over keys", watch.keep))
        try:
            yield watch, keyring, open_issuer(snapshot, store, watch.refresh)
        finally:
            await stop(watching)
            await watch.aclose()


def make_keyring(snapshot: Snapshot) -> Keyring:
    """The keys of the snapshot alone."""
    admins = () if snapshot.admin is None else snapshot.admin.keys
    tenants = snapshot.tenants.values()
    return Keyring(tenants, pepper=snapshot.pepper, admins=admins, wall=time.time)


def open_issuer(
    snapshot: Snapshot, store: KeyStore, changed: Callable[[], Awaitable[object]] | None = None
) -> Issuer:
    """What makes keys; `changed` is awaited after each change."""
    return Issuer(store, snapshot, random=secrets.token_bytes, wall=time.time, changed=changed)


@asynccontextmanager
async def open_upstream(snapshot: Snapshot, env: Mapping[str, str]) -> AsyncIterator[Upstream]:
    """What makes the calls to providers, as the snapshot names it, and what signs them."""
    async with open_upstreams(env, time.time) as upstreams:
        yield await upstreams.reconfigure(snapshot)


@asynccontextmanager
async def open_webhook(snapshot: Snapshot, observe: Observer) -> AsyncIterator[Webhook]:
    """What tells the snapshot's webhook of budgets; `observe` is told how that ended."""
    webhook = Webhook(make_post(snapshot.alerts.webhook or ""), observe, time.time, asyncio.sleep)
    sending = asyncio.create_task(keep_running("alerts.webhook", webhook.run))
    try:
        yield webhook
    finally:
        await webhook.flush()
        await stop(sending)


def _deployments(snapshot: Snapshot) -> list[str]:
    models = snapshot.catalog.models.values()
    return [each.name for model in models for each in model.deployments]
