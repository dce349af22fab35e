"""`tollgate serve`, `demo` and `simulate` as the command line has them."""

# What a command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.options import (
    CONFIG,
    Config,
    Host,
    Port,
    fail,
    fail_config,
    is_of_stdout,
    nonempty,
    say,
)

if TYPE_CHECKING:
    from gateway.commands.outside import Outside
    from gateway.core.snapshot import Snapshot

SHARED = "TOLLGATE_SHARED_PORT"
"""Set in the environment of a worker, whose parent keeps the port."""


def serve(
    ctx: typer.Context,
    config: Config = CONFIG,
    host: Host = "127.0.0.1",
    port: Port = 4000,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of processes that share the port.")
    ] = 1,
) -> None:
    """Serve a configuration."""
    from msgspec import structs

    from gateway.commands.check import deprecations
    from gateway.commands.serve import ListenOptions, source_of
    from gateway.commands.serve import serve as run
    from gateway.commands.workers import ANNOUNCES, FIRST, WORKER, WORKERS_DIR, parent_notifier
    from gateway.config.faults import ConfigError

    outside: Outside = ctx.obj
    env = outside.env
    try:
        source = source_of(config, env, outside.now)
    except ConfigError as error:
        fail_config(error)
    snapshot = source.began.snapshot
    if SHARED not in env:  # a worker's parent has printed it already
        for line in deprecations(snapshot):
            typer.echo(f"warning: {line}", err=True)
    with _failures(host, port, env.get(WORKERS_DIR) if FIRST in env else None):
        if workers > 1 and _can_share(snapshot):
            raise typer.Exit(_serve_with_workers(config, host, port, workers, env))
        number = int(env.get(WORKER, "0"))
        listen = ListenOptions(host, port, SHARED in env, env.get(WORKERS_DIR), number)
        if listen.shared:
            source = structs.replace(source, beside=parent_notifier(os.getppid()))
        run(
            snapshot,
            listen,
            _silent if listen.shared and ANNOUNCES not in env else say,
            env,
            source,
        )


@contextmanager
def _failures(host: str, port: int, workers_dir: str | None = None) -> Iterator[None]:
    """Exit with one line that says why nothing can be served. Of several workers that begin
    together and meet the same, one says it: `workers_dir` is theirs.
    """
    from gateway.core.errors import LedgerDown
    from gateway.core.records.line import StoreError

    try:
        yield
    except LedgerDown as error:
        why = f"redis: {error}"
    except StoreError as error:
        why = f"usage.sink: {error}"
    except OSError as error:
        if is_of_stdout(error):
            raise
        where = error.filename or f"{host}:{port}"
        why = f"cannot listen on {where}: {error.strerror or error}"
        if error.errno is None:  # one of ours, which says what it is about
            why = str(error)
    else:
        return
    if workers_dir is not None and _was_said(why, Path(workers_dir)):
        raise typer.Exit(1)
    fail(why)


def _was_said(why: str, workers_dir: Path) -> bool:
    """Whether another worker has said it. Who asks says it from now on."""
    from hashlib import sha256

    try:
        (workers_dir / sha256(why.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return True
    except OSError:  # the folder goes with the parent
        pass
    return False


def _silent(_: str) -> None:
    pass


def _can_share(snapshot: "Snapshot") -> bool:
    """Whether several processes can serve it; exits where they cannot."""
    if snapshot.ledger.url == "memory":
        fail(
            "redis.url: memory is one process's own, and each of --workers would spend a budget "
            "anew: use embedded, or the URL of a Redis"
        )
    return True


def _serve_with_workers(
    config: list[Path], host: str, port: int, workers: int, env: Mapping[str, str]
) -> int:
    """Serve by several processes; the exit code."""
    from gateway.commands.serve import ListenOptions
    from gateway.commands.workers import run_workers

    paths = [part for path in config for part in ("--config", str(path))]
    with ListenOptions(host, port).reserve() as reserved:
        address = ["--host", host, "--port", str(reserved.getsockname()[1])]
        return run_workers(["serve", *paths, *address], workers, {**env, SHARED: "1"})


def demo(
    ctx: typer.Context,
    host: Host = "127.0.0.1",
    port: Port = 4000,
    dialect: Annotated[
        str | None,
        typer.Option(
            help="The wire format of all tiers' providers, such as gemini or bedrock.",
            parser=nonempty,
        ),
    ] = None,
) -> None:
    """Serve on built-in simulated providers: no key, no network, no Docker."""
    from gateway.commands.demo import demo as run
    from gateway.commands.serve import ListenOptions
    from gateway.config.faults import ConfigError
    from gateway.simulator import BASES

    if dialect is not None and dialect not in BASES:
        fail(f"no simulated provider speaks {dialect}; they speak {', '.join(sorted(BASES))}", 2)
    try:
        with _failures(host, port):
            run(ctx.obj.env, ListenOptions(host, port), say, dialect)
    except ConfigError as error:
        fail(str(error))


def simulate(host: Host = "127.0.0.1", port: Port = 4010) -> None:
    """Serve the simulated providers on their own."""
    from gateway.commands.simulate import run

    try:
        run(host, port)
    except OSError as error:
        why = str(error.strerror or error).partition(" (")[0]
        fail(f"cannot listen on {host}:{port}: {why}")
