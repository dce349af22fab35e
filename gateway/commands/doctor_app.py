"""`tollgate doctor` as the command line has it."""

# What a command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.commands.options import CONFIG, AsJson, Config, Host, Port, say_json

if TYPE_CHECKING:
    from gateway.commands.outside import Outside

_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    ctx: typer.Context,
    config: Config = CONFIG,
    host: Host = "127.0.0.1",
    port: Port = 4000,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="Also connect to each provider, without calls that cost money."
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Diagnose Python, secrets, configuration, Redis, tokenizer, ports and providers."""
    from gateway.commands.doctor import DoctorOptions, examine

    outside: Outside = ctx.obj
    python = (sys.version_info.major, sys.version_info.minor)
    options = DoctorOptions(tuple(config), host, port, probe, python, outside.now())
    lines = []
    for line in examine(options, outside.env):
        lines.append(line)
        if json:
            continue
        typer.secho(f"{line.state:<5}", fg=_COLOURS[line.state], nl=False)
        typer.echo(f"{line.name}: {line.found}")
        if line.do:
            typer.echo(f"      -> {line.do}")
    failed = sum(line.state == "fail" for line in lines)
    if json:
        say_json({"ok": not failed, "lines": lines})
    elif not failed:
        typer.echo("It can serve.")
    else:
        typer.echo(f"{failed} fault{'s' if failed > 1 else ''} to mend first.")
    if failed:
        raise typer.Exit(1)
