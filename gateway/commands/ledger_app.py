"""The options of `tollgate usage` and `tollgate ledger`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.options import (
    CONFIG,
    AsJson,
    Config,
    Since,
    Source,
    Until,
    console,
    fail,
    say_lines,
)

if TYPE_CHECKING:
    from gateway.commands.usage import Found

app = typer.Typer(help="Counters and the records that explain them.", no_args_is_help=True)

Homes = Annotated[
    list[str] | None,
    typer.Option("--home", help="Only this organisation, or tenant without one. Repeatable."),
]


def usage(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    by: Annotated[
        str, typer.Option(help="What to tell apart: tenant, model, purpose, day, tag.NAME, ...")
    ] = "tenant,model",
    since: Since = "",
    until: Until = "",
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    source: Source = "",
    config: Config = CONFIG,
    json: AsJson = False,
) -> None:
    """What was used and what it cost, by whom and for what, exact to the nano-dollar."""
    from gateway.commands.usage import Asked  # noqa: PLC0415 - so that --help is quick
    from gateway.commands.usage import usage as run  # noqa: PLC0415

    def read() -> tuple[list[str], int]:
        asked = Asked(by, since, until, "json" if json else form, source, config)
        return said(run(asked, ctx.obj.env, ctx.obj.now(), console()))

    tell(read)


@app.command()
def verify(
    ctx: typer.Context, home: Homes = None, config: Config = CONFIG, json: AsJson = False
) -> None:
    """Hold each counter against the sum of its records. Exit code 1 where any differs."""
    from gateway.commands.ledger import verify as run  # noqa: PLC0415 - so that --help is quick

    tell(lambda: run(config, ctx.obj.env, ctx.obj.now(), home or ()), json=json)


@app.command()
def rebuild(
    ctx: typer.Context,
    home: Homes = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, not only tell.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also while holds are open; they stay.")
    ] = False,
    config: Config = CONFIG,
    json: AsJson = False,
) -> None:
    """Make each counter what its records sum up to. Gateways that noticed a loss go on then."""
    from gateway.commands.ledger import rebuild as run  # noqa: PLC0415 - so that --help is quick

    env, now = ctx.obj.env, ctx.obj.now()
    tell(lambda: run(config, env, now, home or (), write=yes, force=force), json=json)


def tell(run: Callable[[], tuple[list[str], int]], *, json: bool = False) -> None:
    """Exit code 2 for an option that cannot be used, 1 for what could not be read."""
    from gateway.commands.cost_options import Wrong  # noqa: PLC0415 - so that --help is quick
    from gateway.config.faults import ConfigError  # noqa: PLC0415
    from gateway.core.errors import LedgerDown  # noqa: PLC0415
    from gateway.core.usage_line import StoreError  # noqa: PLC0415

    try:
        lines, code = run()
    except Wrong as error:
        fail(str(error), 2)
    except ConfigError as error:
        fail(str(error))
    except LedgerDown as error:
        fail(f"redis: {error}")
    except StoreError as error:
        fail(f"usage.sink: {error}")
    say_lines(lines, ok=code == 0, json=json)
    if code:
        raise typer.Exit(code)


def said(found: "Found") -> tuple[list[str], int]:
    """What is printed of it. Its notes go to whoever watches."""
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    return [found.text] if found.text is not None else [], 0
