"""The options of `tollgate usage` and `tollgate ledger`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

_CONFIG: Final = [Path("config/gateway.yaml")]
_WIDE: Final = 300

app = typer.Typer(help="Counters and the records that explain them.", no_args_is_help=True)

Config = Annotated[
    list[Path], typer.Option("--config", "-c", help="A YAML file, or a folder of them.")
]
Homes = Annotated[
    list[str] | None,
    typer.Option("--home", help="Only this organisation, or tenant without one. Repeatable."),
]


def usage(
    ctx: typer.Context,
    by: Annotated[
        str, typer.Option(help="What to tell apart: tenant, model, purpose, day, tag.NAME, ...")
    ] = "tenant,model",
    since: Annotated[
        str, typer.Option(help="From when on: 24h, 7d, 2026-11-01, or a time. UTC.")
    ] = "",
    until: Annotated[str, typer.Option(help="Before when.")] = "",
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    source: Annotated[
        str, typer.Option("--from", help="A sink to read. Default: usage.sink, else the ledger.")
    ] = "",
    config: Config = _CONFIG,
) -> None:
    """What was used and what it cost, by whom and for what, exact to the nano-dollar."""
    from gateway.commands.usage import Asked  # noqa: PLC0415 - so that --help is quick
    from gateway.commands.usage import usage as run  # noqa: PLC0415

    def read() -> tuple[list[str], int]:
        asked = Asked(by, since, until, form, source, config)
        found = run(asked, ctx.obj.env, ctx.obj.now(), console())
        for note in found.notes:
            typer.echo(f"note: {note}", err=True)
        return [found.text] if found.text is not None else [], 0

    tell(read)


@app.command()
def verify(ctx: typer.Context, home: Homes = None, config: Config = _CONFIG) -> None:
    """Hold each counter against the sum of its records. Exit code 1 where any differs."""
    from gateway.commands.ledger import verify as run  # noqa: PLC0415 - so that --help is quick

    tell(lambda: run(config, ctx.obj.env, ctx.obj.now(), home or ()))


@app.command()
def rebuild(
    ctx: typer.Context,
    home: Homes = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, not only tell.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also while holds are open; they stay.")
    ] = False,
    config: Config = _CONFIG,
) -> None:
    """Make each counter what its records sum up to. Gateways that noticed a loss go on then."""
    from gateway.commands.ledger import rebuild as run  # noqa: PLC0415 - so that --help is quick

    env, now = ctx.obj.env, ctx.obj.now()
    tell(lambda: run(config, env, now, home or (), write=yes, force=force))


def tell(run: Callable[[], tuple[list[str], int]]) -> None:
    """Exit code 2 for an option that cannot be used, 1 for what could not be read."""
    from gateway.commands.cost_options import Wrong  # noqa: PLC0415 - so that --help is quick
    from gateway.config.faults import ConfigError  # noqa: PLC0415
    from gateway.core.errors import LedgerDown  # noqa: PLC0415
    from gateway.core.usage_line import StoreError  # noqa: PLC0415

    try:
        lines, code = run()
    except Wrong as error:
        _fail(str(error), 2)
    except ConfigError as error:
        _fail(str(error))
    except LedgerDown as error:
        _fail(f"redis: {error}")
    except StoreError as error:
        _fail(f"usage.sink: {error}")
    for line in lines:
        typer.echo(line)
    if code:
        raise typer.Exit(code)


def _fail(text: str, code: int = 1) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)


def console() -> "Console":
    """A terminal's width; wherever else, as wide as it takes."""
    from rich.console import Console  # noqa: PLC0415 - so that --help is quick

    return Console() if sys.stdout.isatty() else Console(width=_WIDE)
