"""The command line; the only reader of the environment."""

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway import __version__
from gateway.commands import cost, key_app, learn_app, ledger_app, replay_app, routes_app

app = typer.Typer(
    help="An OpenAI-compatible gateway: cheap models first, better ones when needed.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    list[Path], typer.Option("--config", "-c", help="A YAML file, or a folder of them.")
]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.")]

_CONFIG = [Path("config/gateway.yaml")]
_SHARED = "TOLLGATE_SHARED_PORT"


def _now() -> datetime:
    """Dated prices are those of the start."""
    return datetime.now(UTC)


app.add_typer(cost.app, name="cost", context_settings={"obj": cost.Outside(os.environ, _now)})
app.command("replay", context_settings={"obj": os.environ})(replay_app.replay)
app.command("learn", context_settings={"obj": os.environ})(learn_app.learn)
_OUTSIDE = {"obj": cost.Outside(os.environ, _now)}
app.add_typer(ledger_app.app, name="ledger", context_settings=_OUTSIDE)
app.command(context_settings=_OUTSIDE)(ledger_app.usage)
app.add_typer(routes_app.app, name="routes", context_settings=_OUTSIDE)
app.add_typer(key_app.app, name="key", context_settings={"obj": key_app.Outside(os.environ, _now)})


def _say(text: str) -> None:
    typer.echo(text)
    sys.stdout.flush()


def _fail(text: str, code: int = 1) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)


@app.command()
def serve(
    config: Config = _CONFIG,
    host: Host = "127.0.0.1",
    port: Port = 4000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
) -> None:
    """Serve a configuration."""
    from msgspec import structs

    from gateway.commands.check import deprecations
    from gateway.commands.serve import Place, source_of
    from gateway.commands.serve import serve as run
    from gateway.commands.workers import WORKER, WORKERS_DIR, beside, run_workers
    from gateway.config.faults import ConfigError
    from gateway.core.errors import LedgerDown
    from gateway.core.usage_line import StoreError

    try:
        source = source_of(config, os.environ, _now)
    except ConfigError as error:
        _fail(str(error))
    snapshot = source.began.snapshot
    if _SHARED not in os.environ:  # a worker's parent has told it already
        for line in deprecations(snapshot):
            typer.echo(f"warning: {line}", err=True)
    try:
        if workers > 1:
            paths = [part for path in config for part in ("--config", str(path))]
            with Place(host, port, shared=True).bind() as kept:  # nobody else takes the port
                at = ["--host", host, "--port", str(kept.getsockname()[1])]
                env = {**os.environ, _SHARED: "1"}
                raise typer.Exit(run_workers(["serve", *paths, *at], workers, env))
        number = int(os.environ.get(WORKER, "0"))
        place = Place(host, port, _SHARED in os.environ, os.environ.get(WORKERS_DIR), number)
        if place.shared:
            source = structs.replace(source, beside=beside(os.getppid()))
        run(snapshot, place, _say, os.environ, source)
    except LedgerDown as error:
        _fail(f"redis: {error}")
    except StoreError as error:
        _fail(f"usage.sink: {error}")
    except OSError as error:
        _fail(f"cannot listen on {error.filename or f'{host}:{port}'}: {error.strerror or error}")


@app.command()
def demo(
    host: Host = "127.0.0.1",
    port: Port = 4000,
    dialect: Annotated[
        str | None, typer.Option(help="What the providers of all tiers speak: gemini, bedrock, ...")
    ] = None,
) -> None:
    """Serve on built-in simulated providers: no key, no network, no Docker."""
    from gateway.commands.serve import Place
    from gateway.commands.serve import demo as run
    from gateway.simulator import BASES

    if dialect is not None and dialect not in BASES:
        _fail(f"no simulated provider speaks {dialect}; they speak {', '.join(sorted(BASES))}")
    try:
        run(os.environ, Place(host, port), _say, dialect)
    except OSError as error:
        _fail(f"cannot listen on {host}:{port}: {error.strerror or error}")


@app.command()
def check(config: Config = _CONFIG) -> None:
    """Check the configuration, its prices, keys and Redis; tell all faults at once."""
    from gateway.commands.check import check as run
    from gateway.commands.ping import ping

    lines, code = run(config, os.environ, ping, at=_now())
    for line in lines:
        typer.echo(line)
    raise typer.Exit(code)


@app.command()
def explain(
    request: Annotated[
        Path, typer.Argument(help="A chat request's JSON; with --analyze, a request's id.")
    ],
    config: Config = _CONFIG,
    tenant: Annotated[str | None, typer.Option(help="Whose limits hold.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="What became of a request, by its x-request-id.")
    ] = False,
) -> None:
    """Show the plan of a request: candidates, skipped models and why, expected and worst cost."""
    import msgspec
    from rich.console import Console

    from gateway.commands.explain import explain_request, show
    from gateway.config.faults import ConfigError
    from gateway.config.load import load
    from gateway.core.errors import GatewayError

    if analyze:
        _analyze(str(request), config, tenant, json)
        return
    try:
        snapshot = load(config, os.environ, at=_now())
        who = next(iter(snapshot.tenants)) if tenant is None else tenant
        if who not in snapshot.tenants:
            _fail(f"no tenant {who}; there are {', '.join(snapshot.tenants)}")
        whose, at = snapshot.tenants[who], _now().timestamp()
        told = explain_request(snapshot, request.read_bytes(), whose, at)
    except ConfigError as error:
        _fail(str(error))
    except GatewayError as error:
        _fail(f"{request}: {error}")
    except OSError as error:
        _fail(f"{request}: {error.strerror or error}")
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(told)).decode())
    else:
        show(told, Console())


def _analyze(request_id: str, config: list[Path], tenant: str | None, json: bool) -> None:
    import msgspec
    from rich.console import Console

    from gateway.commands.analyze import analyze_request, show
    from gateway.commands.cost_options import Wrong
    from gateway.config.faults import ConfigError
    from gateway.config.load import load
    from gateway.core.errors import LedgerDown
    from gateway.core.usage_line import StoreError

    try:
        told = analyze_request(load(config, os.environ, at=_now()), request_id, tenant)
    except Wrong as error:
        _fail(str(error), 2)
    except (ConfigError, LedgerDown, StoreError) as error:
        _fail(str(error))
    if told is None:
        _fail(f"no record of a request {request_id}; answers that were kept have none")
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(told)).decode())
    else:
        show(told, Console())


@app.command()
def catalog(  # noqa: PLR0913, PLR0917 - an option each
    model: Annotated[
        str | None, typer.Argument(help="All about this one. Default: a line for each host.")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="YAML files. Default: the shipped ones."),
    ] = None,
    capability: Annotated[
        list[str] | None, typer.Option(help="Only models with it; may be given again.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Only hosts that run there.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this host.")] = None,
    max_input_price: Annotated[
        float | None, typer.Option(help="USD per million input tokens, at most.")
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Only what has an old price, or none any more.")
    ] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Every column, on lines as long as it takes.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List models with their hosts, sizes and prices, without any key; filter them."""
    import msgspec

    from gateway.commands.catalog import Wanted, select, shipped
    from gateway.commands.catalog_text import detail, page, show
    from gateway.config.faults import ConfigError
    from gateway.config.shelf import load_shelf

    now = _now()
    try:
        shelf = load_shelf(config or shipped(), os.environ, at=now)
    except ConfigError as error:
        _fail(str(error))
    if model is not None and model not in {entry.name for entry in shelf}:
        _fail(f"no model {model} in the catalog; tollgate catalog lists them")
    wanted = Wanted(model, frozenset(capability or ()), region, provider, max_input_price, stale)
    found = select(shelf, wanted, now.date())
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif model is not None:
        for line in (line for each in found for line in detail(each)):
            typer.echo(line)
    else:
        terminal = sys.stdout.isatty() and not wide
        width = shutil.get_terminal_size().columns if terminal else None
        show(found, page(sys.stdout, width), wide=wide)


@app.command()
def simulate(host: Host = "127.0.0.1", port: Port = 4010) -> None:
    """Serve the simulated providers on their own."""
    from gateway.commands.simulate import run

    run(host, port)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from gateway.config.publish import schema_text

    typer.echo(schema_text())


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tollgate {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Tollgate."""


def main() -> None:
    app()


if __name__ == "__main__":
    main()
