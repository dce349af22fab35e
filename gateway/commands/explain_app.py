"""`tollgate explain` as the command line has it."""

# What a command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.options import (
    CONFIG,
    AsJson,
    Config,
    console,
    fail,
    fail_config,
    nonempty,
    say_json,
    some_path,
)

if TYPE_CHECKING:
    from gateway.commands.outside import Outside


def explain(
    ctx: typer.Context,
    request: Annotated[
        Path,
        typer.Argument(
            help="A file with a chat request, - for stdin; with --analyze, a request's id.",
            parser=some_path,
        ),
    ],
    config: Config = CONFIG,
    tenant: Annotated[
        str | None,
        typer.Option(help="The tenant whose limits apply. Default: the first.", parser=nonempty),
    ] = None,
    json: AsJson = False,
    analyze: Annotated[
        bool,
        typer.Option(
            "--analyze", help="Show the records of a finished request, by its x-request-id."
        ),
    ] = False,
    gateway: Annotated[
        str | None,
        typer.Option(
            help="Ask a running gateway, with the key in TOLLGATE_KEY: it uses its present guards, "
            "circuits and prices.",
            metavar="URL",
            parser=nonempty,
        ),
    ] = None,
) -> None:
    """Show the plan of a request: candidates, skipped models and why, expected and worst cost."""
    from gateway.commands.explain import explain_request, show
    from gateway.config.faults import ConfigError
    from gateway.config.load import load
    from gateway.core.errors import GatewayError

    outside: Outside = ctx.obj
    if gateway is not None:
        if tenant is not None:
            fail("--tenant is not for --gateway: the key says whose limits hold", 2)
        _live(outside, gateway, request, analyze=analyze, json=json)
        return
    if analyze:
        _analyze(outside, str(request), config, tenant, json=json)
        return
    try:
        snapshot = load(config, outside.env, at=outside.now())
        tenant_name = next(iter(snapshot.tenants)) if tenant is None else tenant
        if tenant_name not in snapshot.tenants:
            fail(f"no tenant {tenant_name}; known: {', '.join(snapshot.tenants)}")
        chosen, at = snapshot.tenants[tenant_name], outside.now().timestamp()
        report = explain_request(snapshot, _read(request), chosen, at)
    except ConfigError as error:
        fail_config(error)
    except GatewayError as error:
        fail(f"{request}: {error}")
    except OSError as error:
        fail(f"{request}: {error.strerror or error}")
    say_json(report) if json else show(report, console())


def _read(request: Path) -> bytes:
    return sys.stdin.buffer.read() if str(request) == "-" else request.read_bytes()


def _live(outside: "Outside", url: str, request: Path, *, analyze: bool, json: bool) -> None:
    from gateway.commands import analyze as analyze_command
    from gateway.commands import explain as explain_command
    from gateway.commands.explain_live import KEY, ExplainFailed, analyze_live, explain_live

    key = outside.env.get(KEY)
    try:
        if analyze:
            report = analyze_live(url, key, str(request))
        else:
            report = explain_live(url, key, _read(request))
    except ExplainFailed as error:
        fail(str(error))
    except OSError as error:
        fail(f"{request}: {error.strerror or error}")
    say_json(report) if json else (analyze_command.show if analyze else explain_command.show)(
        report, console()
    )


def _analyze(
    outside: "Outside", request_id: str, config: list[Path], tenant: str | None, *, json: bool
) -> None:
    from gateway.commands.analyze import analyze_request, show
    from gateway.commands.wrong_option import WrongOption
    from gateway.config.faults import ConfigError
    from gateway.config.load import load
    from gateway.core.errors import LedgerDown
    from gateway.core.records.line import StoreError

    try:
        report = analyze_request(load(config, outside.env, at=outside.now()), request_id, tenant)
    except WrongOption as error:
        fail(str(error), 2)
    except (ConfigError, LedgerDown, StoreError) as error:
        fail(str(error))
    if report is None:
        fail(f"no record of a request {request_id}; answers that were kept have none")
    say_json(report) if json else show(report, console())
