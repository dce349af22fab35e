"""`tollgate routes` as the command line has it."""

from typing import Annotated

import typer

from gateway.commands.options import (
    CONFIG,
    AsJson,
    Config,
    Since,
    Source,
    Until,
    as_lines,
    console,
    run_and_print,
)

app = typer.Typer(help="Compare routes by their records.", no_args_is_help=True)


@app.callback()
def routes() -> None:
    """Compare routes by their records."""


@app.command()
def compare(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    route: Annotated[list[str], typer.Argument(help="The routes to compare.")],
    since: Since = "",
    until: Until = "",
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    source: Source = "",
    config: Config = CONFIG,
    json: AsJson = False,
) -> None:
    """Compare routes by their records: cost, escalations, agreement, latency."""
    from gateway.commands.routes import RoutesOptions  # noqa: PLC0415 - so that --help is quick
    from gateway.commands.routes import compare as run  # noqa: PLC0415

    def read() -> tuple[list[str], int]:
        options = RoutesOptions(route, since, until, "json" if json else form, source, config)
        return as_lines(run(options, ctx.obj.env, ctx.obj.now(), console()))

    run_and_print(read, source=source)
