"""The command line; the only reader of the environment."""

# Signals first: to import the rest takes a while, and nobody would listen to them.

import sys

from gateway.commands.signals import interrupt_as_usual, interrupt_quietly, listen_early

if sys.argv[1:2] == ["serve"]:
    listen_early()
elif sys.argv[0].endswith(("/tollgate", "/gateway/__main__.py")):  # else somebody imports it
    interrupt_quietly()

import os
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from gateway import __version__
from gateway.commands.mounted import Mount, group
from gateway.commands.options import is_of_stdout
from gateway.commands.outside import Outside

COMMANDS: Final[dict[str, Mount]] = {
    "serve": ("serve_app:serve", "Serve a configuration."),
    "demo": (
        "serve_app:demo",
        "Serve on built-in simulated providers: no key, no network, no Docker.",
    ),
    "check": (
        "check_app:check",
        "Check the configuration, its prices, keys and Redis; report all faults at once.",
    ),
    "doctor": (
        "doctor_app:doctor",
        "Diagnose Python, secrets, configuration, Redis, tokenizer, ports and providers.",
    ),
    "explain": (
        "explain_app:explain",
        "Show the plan of a request: candidates, skipped models and why, expected and worst cost.",
    ),
    "catalog": (
        "catalog_app:catalog",
        "List and filter models with their hosts, sizes and prices; needs no key.",
    ),
    "top": (
        "top_app:top",
        "Watch requests, money, tiers, circuits and budgets, from a gateway's /metrics.",
    ),
    "cost": ("cost_app:app", "Estimate and compare what models would cost."),
    "usage": (
        "usage_app:usage",
        "Report what was used and what it cost, by whom and for what, to the nano-dollar.",
    ),
    "ledger": ("ledger_app:app", "Verify and rebuild the ledger's counters from its records."),
    "routes": ("routes_app:app", "Compare routes by their records."),
    "key": ("key_app:app", "Create, list, rotate and revoke keys."),
    "replay": (
        "replay_app:replay",
        "Replay a route on recorded answers: what it would have cost, and missed.",
    ),
    "learn": (
        "learn_app:learn",
        "Learn at which tier requests should begin, from recorded answers or usage records.",
    ),
    "import": ("import_app:app", "Convert another gateway's configuration."),
    "simulate": ("serve_app:simulate", "Serve the simulated providers on their own."),
    "schema": ("check_app:schema", "Print the JSON Schema of the configuration."),
}


def _now() -> datetime:
    """Dated prices are those of the start."""
    return datetime.now(UTC)


app = typer.Typer(
    cls=group(COMMANDS),
    context_settings={"obj": Outside(os.environ, _now)},
    help="An OpenAI-compatible gateway: cheap models first, better ones when needed.",
    epilog="Exit codes: 0 done; 1 it cannot be done, or a fault was found; 2 wrong usage.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich takes longer to import than all else together
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tollgate {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit."),
    ] = False,
) -> None:
    """An OpenAI-compatible gateway: cheap models first, better ones when needed."""


def _open_streams() -> None:
    """Without stdin, stdout or stderr the first socket would take its number: uvloop aborts."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - has no name
            setattr(sys, name, os.fdopen(number, mode))


def main() -> None:
    _open_streams()
    interrupt_as_usual()
    try:
        app()
    except OSError as error:
        if not is_of_stdout(error):
            raise
        typer.echo(f"stdout: {error.strerror}", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python fails again as it exits
        sys.exit(1)


if __name__ == "__main__":
    main()
