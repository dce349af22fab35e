"""`tollgate cost` as the command line has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.options import AsJson, console, run_and_print, some_path

app = typer.Typer(help="Reckon what models would cost.", no_args_is_help=True)

Requests = Annotated[str, typer.Option(help="Requests per month.", metavar="N")]
Prompt = Annotated[str, typer.Option("--input", help="Input tokens per request.", metavar="N")]
Completion = Annotated[
    str, typer.Option("--output", help="Output tokens per request.", metavar="N")
]
CacheHit = Annotated[
    str, typer.Option(help="Share of the input read from the provider's cache.", metavar="SHARE")
]
CacheWrite = Annotated[
    str, typer.Option(help="Share of the input written to that cache.", metavar="SHARE")
]
Batch = Annotated[str, typer.Option(help="Share of the requests sent as batches.", metavar="SHARE")]
Hours = Annotated[
    str, typer.Option(help="The hours in which requests arrive, for prices by the hour.")
]
Zone = Annotated[str, typer.Option(help="The time zone of --hours: an IANA name.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help="Only these models: a name, provider/model or pattern. Repeatable."
    ),
]
Stated = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        help="A price: MODEL=IN/OUT or MODEL=IN/OUT/CACHED, USD per million tokens. Repeatable.",
    ),
]
PricesFile = Annotated[
    Path | None,
    typer.Option(
        "--prices", help="A YAML file of prices: models by name.", metavar="PATH", parser=some_path
    ),
]
Provider = Annotated[str | None, typer.Option(help="Only this host.")]
Region = Annotated[str | None, typer.Option(help="Only hosts in this region.")]
Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        help="YAML files. Default: the catalog that comes with the gateway.",
        metavar="PATH",
        parser=some_path,
    ),
]
Form = Annotated[str, typer.Option("--format", help="table, csv or json.")]
Places = Annotated[str, typer.Option(help="Decimal places in tables.", metavar="N")]


@app.command()
def estimate(  # noqa: PLR0913, PLR0917 - one an option
    ctx: typer.Context,
    requests: Requests,
    prompt: Prompt,
    completion: Completion,
    cache_hit: CacheHit = "0",
    cache_write: CacheWrite = "0",
    batch: Batch = "0",
    hours: Hours = "00:00-24:00",
    zone: Zone = "UTC",
    model: Models = None,
    price: Stated = None,
    prices: PricesFile = None,
    provider: Provider = None,
    region: Region = None,
    hosts: Annotated[
        bool, typer.Option("--hosts", help="Show every host of a model, not only the cheapest.")
    ] = False,
    config: Config = None,
    form: Form = "table",
    json: AsJson = False,
    places: Places = "2",
) -> None:
    """Estimate what a month of requests costs at each model, the cheapest first."""
    from gateway.commands.cost_estimate import CostOptions, PriceContext  # noqa: PLC0415 - so that --help is quick
    from gateway.commands.cost_estimate import estimate as run  # noqa: PLC0415

    options = CostOptions(
        requests, prompt, completion, cache_hit, cache_write, batch, hours, zone,
        tuple(model or ()), tuple(price or ()), prices, provider, region,
        tuple(config or ()), "json" if json else form, places,
    )  # fmt: skip
    context = PriceContext(ctx.obj.env, ctx.obj.now())
    _print(lambda: run(options, context, console(), every_host=hosts))


@app.command()
def compare(  # noqa: PLR0913, PLR0917 - one an option
    ctx: typer.Context,
    requests: Requests = "",
    prompt: Prompt = "",
    completion: Completion = "",
    mix: Annotated[
        list[str] | None,
        typer.Option(
            help="Each model's share of the answers: MODEL=SHARE; MODEL+BETTER=SHARE if BETTER "
            "answers what MODEL could not. Tiers of --config are allowed, too. Repeatable.",
            metavar="MODEL=SHARE",
        ),
    ] = None,
    usage: Annotated[
        list[Path] | None,
        typer.Option(
            help="A JSONL file of usage records to take the mix from. Repeatable.",
            metavar="PATH",
            parser=some_path,
        ),
    ] = None,
    cache_hit: CacheHit = "0",
    cache_write: CacheWrite = "0",
    batch: Batch = "0",
    hours: Hours = "00:00-24:00",
    zone: Zone = "UTC",
    model: Models = None,
    price: Stated = None,
    prices: PricesFile = None,
    provider: Provider = None,
    region: Region = None,
    gpu_hour: Annotated[
        str, typer.Option(help="Self-hosting: the cost of one GPU per hour.", metavar="USD")
    ] = "",
    gpus: Annotated[
        str, typer.Option(help="Number of GPUs that serve the model together.", metavar="N")
    ] = "1",
    tokens_per_second: Annotated[
        str,
        typer.Option(help="Output tokens per second of all GPUs together, when busy.", metavar="N"),
    ] = "",
    utilisation: Annotated[
        str, typer.Option(help="Share of time in which the GPUs are busy.", metavar="SHARE")
    ] = "50%",
    engineer: Annotated[
        str, typer.Option(help="Cost of the people who operate them, per month.", metavar="USD")
    ] = "",
    other: Annotated[
        str, typer.Option(help="Cost of storage, traffic and the rest, per month.", metavar="USD")
    ] = "0",
    config: Config = None,
    form: Form = "table",
    json: AsJson = False,
    places: Places = "2",
) -> None:
    """Compare a mix of models with each model alone, and with self-hosting."""
    from gateway.commands.cost_compare import compare as run  # noqa: PLC0415 - quick --help
    from gateway.commands.cost_estimate import CostOptions, PriceContext  # noqa: PLC0415
    from gateway.commands.cost_machines import OwnMachinesOptions  # noqa: PLC0415

    options = CostOptions(
        requests, prompt, completion, cache_hit, cache_write, batch, hours, zone,
        tuple(model or ()), tuple(price or ()), prices, provider, region,
        tuple(config or ()), "json" if json else form, places,
    )  # fmt: skip
    machines = OwnMachinesOptions(gpu_hour, gpus, tokens_per_second, utilisation, engineer, other)
    context = PriceContext(ctx.obj.env, ctx.obj.now())
    _print(lambda: run(options, mix or (), usage or (), machines, context, console()))


def _print(run: Callable[[], str | None]) -> None:
    def read() -> tuple[list[str], int]:
        text = run()
        return ([] if text is None else [text]), 0

    run_and_print(read)
