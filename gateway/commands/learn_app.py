"""`tollgate learn` as the command line has it."""

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
    fail,
    fail_file,
    names_in,
    nonempty,
    say_lines,
    some_path,
)


def learn(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="A folder of recorded answers, or of usage records (*.jsonl).",
            metavar="PATH",
            parser=nonempty,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The weight file to write.", metavar="PATH", parser=some_path)
    ],
    seed: Annotated[
        int,
        typer.Option(help="Random seed for the held-out part; the same seed gives the same file."),
    ] = 1,
    route: Annotated[
        str | None,
        typer.Option(help="With usage records, a route's name; otherwise as for replay."),
    ] = None,
    pool: Pool = "",
    smart: Annotated[str | None, typer.Option(help="The recorded model of the last rung.")] = None,
    config: RouteConfig = None,
    json: AsJson = False,
) -> None:
    """Learn at which tier requests should begin, from recorded answers or usage records."""
    from gateway.commands.learn import LearnOptions, run
    from gateway.config.faults import ConfigError
    from gateway.replay.records import Unusable

    options = LearnOptions(source, out, route, names_in(pool), smart, tuple(config or CONFIG), seed)
    try:
        say_lines(run(options, ctx.obj.env), ok=True, json=json)
    except (ConfigError, Unusable) as error:
        fail(str(error))
    except OSError as error:
        fail_file(error)
