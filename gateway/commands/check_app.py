"""`tollgate check` and `schema` as the command line has them."""

# What a command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING

import typer

from gateway.commands.options import CONFIG, AsJson, Config, say_lines

if TYPE_CHECKING:
    from gateway.commands.outside import Outside


def check(ctx: typer.Context, config: Config = CONFIG, json: AsJson = False) -> None:
    """Check the configuration, its prices, keys and Redis; report all faults at once."""
    from gateway.commands.check import check as run
    from gateway.commands.ping import look, ping

    outside: Outside = ctx.obj
    lines, code = run(config, outside.env, ping, look, at=outside.now())
    say_lines(lines, ok=code == 0, json=json)
    raise typer.Exit(code)


def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from gateway.config.publish import schema_text

    typer.echo(schema_text())
