"""`tollgate import ...` as the command line has it."""

# What a command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.commands.options import fail, say_json, some_path

if TYPE_CHECKING:
    from gateway.commands.outside import Outside

app: Final = typer.Typer(
    help="Translate another gateway's configuration into ours.", no_args_is_help=True
)


@app.callback()
def root() -> None:
    """Convert another gateway's configuration."""


@app.command()
def litellm(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="CONFIG", help="LiteLLM's config.yaml.", parser=some_path),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The file to write. Default: print it.",
            metavar="PATH",
            parser=some_path,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the YAML and the list as JSON.")
    ] = False,
) -> None:
    """Translate a LiteLLM config.yaml, and list what could not be carried over."""
    from gateway.commands.import_litellm import Unreadable, run
    from gateway.config.faults import ConfigError
    from gateway.config.litellm.paper import listing

    outside: Outside = ctx.obj
    try:
        result = run(files, outside.env)
        if out is not None:
            with out.open("x", encoding="utf-8") as file:
                file.write(result.yaml)
    except (ConfigError, Unreadable) as error:
        fail(str(error))
    except FileExistsError:
        fail(f"{out}: is there already")
    except OSError as error:
        fail(f"{out}: {error.strerror or error}")
    if json:
        say_json(result)
        return
    if out is None:
        typer.echo(result.yaml, nl=False)
    for heading, lines in listing(result.notes):
        typer.echo(f"{heading}:", err=True)
        for line in lines:
            typer.echo(f"  {line}", err=True)
    if out is not None:
        typer.echo(f"Wrote {out}. Next: tollgate check -c {out}", err=True)
