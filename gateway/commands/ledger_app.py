"""`tollgate ledger` as the command line has it."""

from typing import Annotated

import typer

from gateway.commands.options import CONFIG, AsJson, Config, run_and_print

app = typer.Typer(help="Hold counters against the records that explain them.", no_args_is_help=True)

Homes = Annotated[
    list[str] | None,
    typer.Option(
        "--home", help="Only this organisation, or tenant without organisation. Repeatable."
    ),
]


@app.command()
def verify(
    ctx: typer.Context, home: Homes = None, config: Config = CONFIG, json: AsJson = False
) -> None:
    """Compare each counter with the sum of its records; exit code 1 if any differs."""
    from gateway.commands.ledger import verify as run  # noqa: PLC0415 - so that --help is quick

    run_and_print(lambda: run(config, ctx.obj.env, ctx.obj.now(), home or ()), json=json)


@app.command()
def rebuild(
    ctx: typer.Context,
    home: Homes = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Set the counters. Without it nothing is changed.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Set them even if holds are open or records are missing."),
    ] = False,
    config: Config = CONFIG,
    json: AsJson = False,
) -> None:
    """Set each counter to the sum of its records. Gateways that stopped for lost data resume."""
    from gateway.commands.ledger import rebuild as run  # noqa: PLC0415 - so that --help is quick

    env, now = ctx.obj.env, ctx.obj.now()
    run_and_print(lambda: run(config, env, now, home or (), write=yes, force=force), json=json)
