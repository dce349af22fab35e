"""`tollgate demo`: a gateway with simulated providers."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from tempfile import TemporaryDirectory

import uvloop

from gateway.commands.serve import ListenOptions, run_gateway, source_of
from gateway.commands.shipped import shipped
from gateway.commands.signals import ignore_signals
from gateway.simulator import BASES, serve_simulator


def demo(
    env: Mapping[str, str],
    listen: ListenOptions,
    say: Callable[[str], None],
    dialect: str | None = None,
) -> None:
    """Serve config/demo.yaml on simulated providers, with a fresh ledger each time.

    `dialect` is that of the providers of all tiers; None keeps those of the file.
    """

    async def run() -> None:
        async with AsyncExitStack() as stack:
            stack.callback(ignore_signals)
            folder = stack.enter_context(TemporaryDirectory(prefix="tollgate-"))
            simulator = await stack.enter_async_context(serve_simulator())
            simulator_env = {"SIMULATOR_URL": simulator.base_url} | dialect_env(dialect)
            whole_env = {"TOLLGATE_DATA_DIR": folder, **env, **simulator_env}
            source = source_of([shipped("demo.yaml")], whole_env, lambda: None)
            await run_gateway(source.began.snapshot, listen, say, env, source)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def dialect_env(dialect: str | None) -> dict[str, str]:
    """The variables that make config/demo.yaml use one dialect for every tier."""
    if dialect is None:
        return {}
    return {
        "TOLLGATE_DEMO_DIALECT": dialect,
        "TOLLGATE_DEMO_PATH": BASES[dialect],
        "TOLLGATE_DEMO_OTHER": "openai" if dialect == "anthropic" else "anthropic",
    }
