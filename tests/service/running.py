"""The whole gateway on loopback: real HTTP, a real Redis-protocol server, simulated providers."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

import openai
import uvicorn

from gateway.app import Gateway, open_gateway
from gateway.config.load import Loaded, read, with_hash
from gateway.core.accounts import Account, Purse
from gateway.core.changes import Reloaded
from gateway.core.events import Event, LifeEvent, Settled, lawful
from gateway.core.snapshot import Snapshot
from gateway.reload import Source
from gateway.simulator import Served, Simulator, serve_simulator
from gateway.web.api import Front
from gateway.web.hot import hot

KEY = "tg-acme-0123456789abcdefghijklmnopqrstuvwxyz"
HASH = f"sha256:{sha256(KEY.encode()).hexdigest()}"


@dataclass(repr=False)  # asyncio writes out what a fixture's task gave; this would be seconds
class Running:
    """A gateway that answers at `url`, the simulator behind it, and all that happened."""

    url: str
    gateway: Gateway
    snapshot: Snapshot
    simulator: Served
    text: list[str]
    """What a reload reads."""
    events: list[Event] = field(default_factory=list)
    before: int = 0

    async def reload(self, text: str) -> Reloaded:
        """Go by another text; the simulator and the keys are as before."""
        self.text[:] = [text]
        return await self.gateway.reload("a test")

    def client(self, key: str = KEY, **options: object) -> openai.AsyncOpenAI:
        """The official SDK, strict: it rejects every answer that is not as OpenAI says."""
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1",
            api_key=key,
            max_retries=0,
            _strict_response_validation=True,
            **options,  # type: ignore[arg-type]
        )

    async def spent(self, tenant: str) -> int:
        """Nano-dollars, as the ledger has them."""
        whose = self.snapshot.tenants[tenant]
        account = Account("tenant", tenant, whose.budgets, tenant, whose.timezone)
        purse = Purse(tenant, (account,))
        return (await self.gateway.world.ledger.balances(purse))[0].spent

    async def begin(self, tenant: str) -> None:
        """A fresh page in every book."""
        self.events.clear()
        self.simulator.bill.clear()
        self.before = await self.spent(tenant)

    async def audit(self, tenant: str) -> None:
        """Every life is lawful, no hold is open, and three bills are one: the ledger's, the
        settles', the simulator's own.
        """
        await self.simulator.idle()
        settled = await self.audit_ours(tenant)
        bill = self.simulator.bill
        assert settled == bill.cost, f"settled {settled}, billed {bill.cost}: {bill.calls[-20:]}"

    async def audit_ours(self, tenant: str) -> int:
        """The same without the simulator's bill, for providers that keep none: what was settled."""
        async with asyncio.timeout(30):
            while self.gateway.front.door.in_flight.total:
                await asyncio.sleep(0.005)
        lives: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            if isinstance(event, LifeEvent):
                lives[event.about.request_id].append(event)
        for request_id, life in lives.items():
            wrong = lawful(life)
            assert wrong is None, f"{request_id}: {wrong}: {life}"
        assert await self.gateway.world.ledger.open_holds(tenant) == 0
        settled = sum(event.record.cost for event in self.events if isinstance(event, Settled))
        assert await self.spent(tenant) - self.before == settled
        return settled


@asynccontextmanager
async def running(
    text: str, env: Mapping[str, str], providers: Simulator | None = None
) -> AsyncIterator[Running]:
    """Serve a configuration; ${SIMULATOR_URL} in it is the simulator's."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(serve_simulator(providers))
        known = {**env, "SIMULATOR_URL": simulator.base_url, "HASH": HASH}
        texts = [text]

        @lru_cache(maxsize=4)
        def sound(*texts: str) -> Loaded:
            files = [("test.yaml", each) for each in texts]
            return with_hash(read(files, known), files)

        def load() -> Loaded:
            return sound(*texts)

        began = load()
        events: list[Event] = []
        gateway = await stack.enter_async_context(
            open_gateway(began.snapshot, [events.append], source=Source(began, load))
        )
        url = await stack.enter_async_context(served(gateway.front))
        yield Running(url, gateway, began.snapshot, simulator, texts, events)


class _Server(uvicorn.Server):
    """Leaves signals alone. uvicorn's own way puts back what it found: in a fixture that outlives
    its task, a dead task's handler, and for the rest of the session.
    """

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def served(front: Front) -> AsyncIterator[str]:
    """An ASGI app on a free port of loopback."""
    # Named TCP, it gets TCP_NODELAY from asyncio: else an answer may wait 40 ms for an ACK.
    with socket.socket(proto=socket.IPPROTO_TCP) as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            front, http=hot(front.door), lifespan="off", ws="none", log_level="warning",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            while not server.started:
                await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
