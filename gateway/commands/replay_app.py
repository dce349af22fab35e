"""`tollgate replay` as the command line has it: options in, a table or JSON out."""

# What the command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.options import (
    CONFIG,
    AsJson,
    Pool,
    RouteConfig,
    console,
    fail,
    fail_file,
    names_in,
    nonempty,
    say_json,
    some_path,
)


def replay(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of recorded answers.", parser=some_path)
    ],
    route: Annotated[
        str,
        typer.Option(
            help="A YAML file (FILE#route), or the name of a route or strategy.", parser=nonempty
        ),
    ],
    pool: Pool = "",
    smart: Annotated[str | None, typer.Option(help="The recorded model to compare with.")] = None,
    config: RouteConfig = None,
    json: AsJson = False,
    svg: Annotated[
        Path | None,
        typer.Option(help="Write an SVG chart to this file.", metavar="PATH", parser=some_path),
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(
            help="Write the served answer and the calls of each query, one per line.",
            metavar="PATH",
            parser=some_path,
        ),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Try a grid of the route's parameters.")
    ] = False,
    guard: Annotated[bool, typer.Option("--guard", help="Replay the route's guard, too.")] = False,
    guard_set: Annotated[
        list[str] | None,
        typer.Option(
            help="A guard setting that replaces the route's: threshold=0.8. Repeatable.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed, for intervals and the guard's draws.")
    ] = 1,
) -> None:
    """Replay a route on recorded answers: what it would have cost, and missed."""
    from gateway.commands.replay import ReplayOptions
    from gateway.commands.replay import replay as run
    from gateway.config.faults import ConfigError
    from gateway.replay.records import Unusable

    try:
        options = ReplayOptions(
            folder,
            route,
            names_in(pool),
            smart,
            tuple(config or CONFIG),
            decisions,
            svg,
            sweep,
            tuple(guard_set or ()) if guard or guard_set else None,
            seed,
        )
        report = run(options, ctx.obj.env, None if json else console())
    except (ConfigError, Unusable) as error:
        fail(str(error))
    except OSError as error:
        fail_file(error)
    if json:
        say_json(report)
