"""`tollgate top` as the command line has it."""

# What a command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.options import AsJson, fail, say_json

if TYPE_CHECKING:
    from gateway.commands.top import Reading


def top(
    url: Annotated[
        str, typer.Argument(help="The URL of a gateway, or of its metrics.")
    ] = "http://127.0.0.1:4000/metrics",
    every: Annotated[
        float,
        typer.Option(min=0.1, max=86_400, help="Seconds between two updates.", metavar="S"),
    ] = 2.0,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Print the totals since the gateway's start, and exit. Default without a "
            "terminal, unless --json.",
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Watch requests, money, tiers, circuits and budgets, from a gateway's /metrics."""
    from rich.console import Console
    from rich.live import Live

    from gateway.commands.top import metrics_of, show, view

    try:
        url = metrics_of(url)
    except ValueError:
        fail(f"{url}: must be a URL such as http://127.0.0.1:4000", 2)
    now = _scrape(url)
    if once or not (json or sys.stdout.isatty()):  # a live view needs a terminal
        figures = view(now)
        say_json(figures) if json else Console().print(show(figures, url))
        return
    try:
        if json:  # a line for each scrape but the first
            while True:
                now, before = _scrape_after(url, every), now
                _line(view(now, before))
        with Live(show(view(now), url), auto_refresh=False, screen=True) as live:
            while True:
                now, before = _scrape_after(url, every), now
                live.update(show(view(now, before), url), refresh=True)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _scrape_after(url: str, seconds: float) -> "Reading":
    time.sleep(seconds)
    return _scrape(url)


def _line(figures: object) -> None:
    import msgspec

    from gateway.commands.options import say

    say(msgspec.json.encode(figures).decode())


def _scrape(url: str) -> "Reading":
    import httpx

    from gateway.commands.top import read

    try:
        answer = httpx.get(url, timeout=5.0, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            fail(f"{url}: answers {answer.status_code}, and no metrics")
        return read(answer.text, time.monotonic())
    except httpx.ConnectError:
        fail(f"{url}: nobody answers there; `tollgate serve` and `tollgate demo` start a gateway")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"{url}: {error or type(error).__name__}")
    except ValueError as error:
        fail(f"{url}: {error}")
