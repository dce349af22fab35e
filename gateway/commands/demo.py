"""`tollgate demo`: a gateway before providers that are not there."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from tempfile import TemporaryDirectory

import uvloop

from gateway.commands.early import listen_no_more
from gateway.commands.serve import Place, run_gateway, source_of
from gateway.commands.shipped import shipped
from gateway.simulator import BASES, serve_simulator


def demo(
    env: Mapping[str, str], place: Place, say: Callable[[str], None], dialect: str | None = None
) -> None:
    """Serve config/demo.yaml on simulated providers, with a fresh ledger each time.

    `dialect` is what the providers of all tiers are to speak; else those of the file do.
    """

    async def run() -> None:
        async with AsyncExitStack() as stack:
            stack.callback(listen_no_more)
            folder = stack.enter_context(TemporaryDirectory(prefix="tollgate-"))
            simulator = await stack.enter_async_context(serve_simulator())
            told = {"SIMULATOR_URL": simulator.base_url} | speaking(dialect)
            known = {"TOLLGATE_DATA_DIR": folder, **env, **told}
            source = source_of([shipped("demo.yaml")], known, lambda: None)
            await run_gateway(source.began.snapshot, place, say, env, source)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def speaking(dialect: str | None) -> dict[str, str]:
    """The variables by which config/demo.yaml puts every tier on one dialect."""
    if dialect is None:
        return {}
    return {
        "TOLLGATE_DEMO_DIALECT": dialect,
        "TOLLGATE_DEMO_PATH": BASES[dialect],
        "TOLLGATE_DEMO_OTHER": "openai" if dialect == "anthropic" else "anthropic",
    }
