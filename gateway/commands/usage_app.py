"""`tollgate usage` as the command line has it."""

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


def usage(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    by: Annotated[
        str, typer.Option(help="Columns to group by: tenant, model, purpose, day, tag.NAME, ...")
    ] = "tenant,model",
    since: Since = "",
    until: Until = "",
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    source: Source = "",
    config: Config = CONFIG,
    json: AsJson = False,
) -> None:
    """Report what was used and what it cost, by whom and for what, to the nano-dollar."""
    from gateway.commands.usage import UsageOptions  # noqa: PLC0415 - so that --help is quick
    from gateway.commands.usage import usage as run  # noqa: PLC0415

    def read() -> tuple[list[str], int]:
        options = UsageOptions(by, since, until, "json" if json else form, source, config)
        return as_lines(run(options, ctx.obj.env, ctx.obj.now(), console()))

    run_and_print(read, source=source)
