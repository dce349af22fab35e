"""Puts the rooms together: from a snapshot to a gateway that can be served.

With stores.py the only module that names concrete drivers.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

from fastapi import FastAPI

from gateway import __version__
from gateway.core.events import CircuitMoved, Event
from gateway.core.health import Health, RetryBudget
from gateway.core.keys import KeyStore
from gateway.core.ladder import ladders
from gateway.core.ports import LedgerDriver, Observer, Upstream
from gateway.core.snapshot import Snapshot
from gateway.drivers.deprecations import Deprecations
from gateway.drivers.exact_tokens import ExactTokens
from gateway.drivers.janitor import MOST, Awake, Janitor
from gateway.drivers.pool_upstream import PoolUpstream
from gateway.drivers.prometheus import Metrics
from gateway.drivers.signing import open_signers
from gateway.drivers.sweeper import Sweeper, homes_of
from gateway.drivers.usage_open import open_sink
from gateway.drivers.usage_sink import Moved
from gateway.drivers.webhook import Webhook, poster
from gateway.drivers.webhook_check import WebhookChecks
from gateway.stores import (
    open_backstage,
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
    admin: Callable[[], FastAPI]
    """Makes the app of the admin API, for whoever is to serve it."""

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
) -> AsyncIterator[Gateway]:
    """Everything started, and stopped at the end. `observers` are told each event, too.

    `env` is where AWS's and Google's credentials may be named.
    """
    models = snapshot.catalog.models
    deployments = [each.name for model in models.values() for each in model.deployments]
    metrics = Metrics(snapshot.tenants.values(), deployments, workers_dir, tags=snapshot.tags)
    old = Deprecations(snapshot.catalog.models, time.monotonic)
    told = [metrics.observe, *observers, *([old.observe] if old.gone else [])]
    moved = Moved()
    if snapshot.usage.sink is not None:
        told.append(moved.observe)
    awake = Awake() if len(snapshot.tenants) > MOST else None
    if awake is not None:
        told.append(awake.observe)
    async with AsyncExitStack() as stack:
        stack.callback(metrics.close)
        if snapshot.alerts.webhook is not None:
            told.append(await stack.enter_async_context(open_webhook(snapshot, metrics.observe)))
        observe = _all(*told)
        ledger = await stack.enter_async_context(open_ledger(snapshot, observe))
        sink = open_sink(snapshot, server(snapshot.ledger), ledger, moved, observe, time.time)
        await stack.enter_async_context(sink)
        upstream = await stack.enter_async_context(open_upstream(snapshot, env))
        runner = WebhookChecks(connect_s=snapshot.timeouts.connect_s)
        world = World(
            ladders=ladders(snapshot.catalog),
            ledger=ledger,
            upstream=upstream,
            health=Health(deployments, lambda name, state: observe(CircuitMoved(name, state))),
            retries=RetryBudget(),
            observe=observe,
            clock=time.monotonic,
            wall=time.time,
            sleep=asyncio.sleep,
            draw=random.Random().random,  # noqa: S311 - which equal is asked is no secret
            new_id=_NewId(),
            timeouts=snapshot.timeouts,
            exact_tokens=ExactTokens(env),
            runner=await stack.enter_async_context(runner),
            behind=await stack.enter_async_context(open_backstage(snapshot, ledger, observe)),
            responses=await stack.enter_async_context(open_responses(snapshot)),
            given_again=await stack.enter_async_context(open_hits(ledger)),
        )
        tenants = tuple(snapshot.tenants.values())
        janitor = Janitor(ledger, tenants, observe, awake)
        await stack.enter_async_context(keeping_house(janitor, snapshot, ledger))

        async def scrape() -> bytes:
            await janitor.before_a_scrape()
            return metrics.render()

        keyring, issuer = await stack.enter_async_context(open_keyring(snapshot))
        door = Door(Generation(world, keyring, snapshot.limits, snapshot.tags))
        api = Api(door, snapshot, scrape, lambda: probe(ledger, tenants[0].name), __version__)
        admin = Admin(keyring, issuer, ledger, snapshot, __version__).app
        yield Gateway(Front(door, api.app()), metrics, issuer, admin)


@asynccontextmanager
async def keeping_house(
    janitor: Janitor, snapshot: Snapshot, ledger: LedgerDriver
) -> AsyncIterator[None]:
    """Reads budgets for metrics and charges expired holds, in the background."""
    homes, ttl_s = homes_of(snapshot.tenants.values()), snapshot.ledger.hold_ttl_s
    sweeper = Sweeper(ledger, homes, ttl_s, time.monotonic)
    tasks = [
        asyncio.create_task(janitor.keep_house(asyncio.sleep)),
        asyncio.create_task(sweeper.keep(asyncio.sleep)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            await _stop(task)


@asynccontextmanager
async def open_keyring(snapshot: Snapshot) -> AsyncIterator[tuple[Keyring, Issuer]]:
    """The keys of the snapshot and those that are kept beside the ledger, and what makes more."""
    admins = () if snapshot.admin is None else snapshot.admin.keys
    tenants = snapshot.tenants.values()
    keyring = Keyring(tenants, pepper=snapshot.pepper, admins=admins, wall=time.time)
    async with open_keys(snapshot) as store:
        watch = KeyWatch(store, keyring, clock=time.monotonic, wall=time.time, sleep=asyncio.sleep)
        await watch.refresh()
        watching = asyncio.create_task(watch.keep())
        try:
            yield keyring, open_issuer(snapshot, store, watch.refresh)
        finally:
            await _stop(watching)
            await watch.aclose()


def open_issuer(
    snapshot: Snapshot, store: KeyStore, changed: Callable[[], Awaitable[object]] | None = None
) -> Issuer:
    """What makes keys; `changed` is awaited after each change."""
    return Issuer(store, snapshot, random=secrets.token_bytes, wall=time.time, changed=changed)


@asynccontextmanager
async def open_upstream(snapshot: Snapshot, env: Mapping[str, str]) -> AsyncIterator[Upstream]:
    """What makes the calls to providers, as the snapshot names it, and what signs them."""
    providers, timeouts = snapshot.providers, snapshot.timeouts
    async with open_signers(providers, env, time.time) as signers:
        if snapshot.client == "aiohttp":
            # Who does not choose it need not wait for its import.
            from gateway.drivers.aiohttp_upstream import AiohttpUpstream  # noqa: PLC0415

            async with AiohttpUpstream(providers, timeouts, signers) as upstream:
                yield upstream
        else:
            async with PoolUpstream(providers, timeouts, signers) as own:
                yield own


@asynccontextmanager
async def open_webhook(snapshot: Snapshot, observe: Observer) -> AsyncIterator[Observer]:
    """What tells the snapshot's webhook of budgets; `observe` is told how that ended."""
    webhook = Webhook(poster(snapshot.alerts.webhook or ""), observe, time.time, asyncio.sleep)
    sending = asyncio.create_task(webhook.run())
    try:
        yield webhook.observe
    finally:
        await webhook.flush()
        await _stop(sending)


def _all(*observers: Observer) -> Observer:
    if len(observers) == 1:
        return observers[0]

    def observe(event: Event) -> None:
        for each in observers:
            each(event)

    return observe


class _NewId:
    """Ids that nobody guesses and no two processes share: a random prefix and a count."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(12)
        self._count = count()

    def __call__(self) -> str:
        return f"{self._prefix}{next(self._count):08x}"


async def _stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
