"""`tollgate catalog` as the command line has it."""

# What a command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.options import AsJson, fail, nonempty, say_json, some_path

if TYPE_CHECKING:
    from gateway.commands.outside import Outside


def catalog(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help="Show everything about this model. Default: a line for each host.", parser=nonempty
        ),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            "-c",
            help="YAML files. Default: the catalog that comes with the gateway.",
            metavar="PATH",
            parser=some_path,
        ),
    ] = None,
    capability: Annotated[
        list[str] | None, typer.Option(help="Only models with this capability. Repeatable.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Only hosts in this region.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this host.")] = None,
    max_input_price: Annotated[
        float | None,
        typer.Option(min=0.0, help="At most this price per million input tokens.", metavar="USD"),
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Only models whose price is old, or no longer listed.")
    ] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Show every column, on lines of any length.")
    ] = False,
    json: AsJson = False,
) -> None:
    """List and filter models with their hosts, sizes and prices; needs no key."""
    from gateway.commands.catalog import Filters, select, unmatched_filter
    from gateway.commands.catalog_text import console_for, detail, show
    from gateway.commands.shipped import shipped_catalog
    from gateway.config.faults import ConfigError
    from gateway.config.shelf import load_shelf

    outside: Outside = ctx.obj
    now = outside.now()
    try:
        shelf = load_shelf(config or shipped_catalog(), outside.env, at=now)
    except ConfigError as error:
        fail(str(error))
    if model is not None and model not in {entry.name for entry in shelf}:
        fail(f"no model {model} in the catalog; tollgate catalog lists them")
    filters = Filters(model, frozenset(capability or ()), region, provider, max_input_price, stale)
    if (fault := unmatched_filter(shelf, filters)) is not None:
        fail(fault, 2)
    entries = select(shelf, filters, now.date())
    if json:
        say_json(entries)
    elif model is not None:
        for line in (line for each in entries for line in detail(each)):
            typer.echo(line)
    else:
        terminal = sys.stdout.isatty() and not wide
        width = shutil.get_terminal_size().columns if terminal else None
        show(entries, console_for(sys.stdout, width), wide=wide)
