"""`tollgate key ...` as the command line has it: options in, text or JSON out."""

# What a command needs is imported when it runs, so that --help is quick.
# ruff: noqa: PLC0415

import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from gateway.commands.options import CONFIG, AsJson, fail, nonempty, say, say_json, some_path

if TYPE_CHECKING:
    from gateway.commands.outside import Outside
    from gateway.core.snapshot import Snapshot

_DAY_S: Final = 86_400
_MAX_DAYS: Final = 36_600
"""A hundred years, as the admin API allows."""
_RIGHTS: Final = ("read", "write")
app: Final = typer.Typer(help="Make, list, rotate and revoke keys.", no_args_is_help=True)

Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        help="A YAML file, or a folder of YAML files. Repeatable. Default: config/gateway.yaml.",
        metavar="PATH",
        parser=some_path,
    ),
]
KeyId = Annotated[
    str, typer.Argument(help="The key's id, from `tollgate key list`.", parser=nonempty)
]


@app.command("new")
def new(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    tenant: Annotated[
        str, typer.Argument(help="The key's tenant. Leave it out for an admin key for all tenants.")
    ] = "",
    save: Annotated[
        bool, typer.Option("--save", help="Store the key with the ledger: it works at once.")
    ] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A pattern of models that it may ask for. Repeatable."),
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="A region where its data may go. Repeatable.")
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help='A budget of the key: \'{"usd": 5, "per": "day"}\'. Repeatable.', metavar="JSON"
        ),
    ] = None,
    admin: Annotated[
        list[str] | None,
        typer.Option(help="Make an admin key with this right: read or write. Repeatable."),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(help="Days until it expires, at most 36600. Default: never."),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            "-c",
            help="The configuration whose ledger stores the key; default: config/gateway.yaml. "
            "Without --save, only its pepper is used; default: no pepper. Repeatable.",
            metavar="PATH",
            parser=some_path,
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Print a new key for a tenant, once, and the stanza to store; or --save it."""
    from gateway.commands import key as run
    from gateway.commands.wrong_option import WrongOption, one_of
    from gateway.config.faults import ConfigError
    from gateway.core.errors import GatewayError
    from gateway.web.admin_json import read_wish

    if not (tenant or admin or save):
        fail("whose key? tollgate key new TENANT; or, for the admin API, --admin read", 2)
    if days is not None and not 0 < days <= _MAX_DAYS:
        fail(f"--days: must be above 0 and at most {_MAX_DAYS:,}, not {days:g}", 2)
    body: dict[str, Any] = {"tenant": tenant, "models": model, "regions": region}
    try:
        rights = [one_of("--admin", each, _RIGHTS) for each in admin or ()]
        body |= {"admin": rights, "expires_in_s": None if days is None else days * _DAY_S}
        body["budgets"] = [msgspec.json.decode(each) for each in budget or ()]
        wish = read_wish(msgspec.json.encode(body))
        if save:
            result = run.save(_snapshot(ctx, config), wish)
            _print(
                result, json, f"{result['key']}\n\nShown once. It works at once, as {result['id']}."
            )
            return
        if model or region or budget or days is not None:
            limits = "--model, --region, --budget or --days"
            fail(f"only a key that is saved has {limits}: add --save", 2)
        pepper = None if config is None else _snapshot(ctx, config, stored=False).pepper
        key, stanza = run.new_key(
            tenant, secrets.token_bytes, pepper=pepper, admin=sorted(wish.admin)
        )
    except WrongOption as error:
        fail(str(error), 2)
    except msgspec.DecodeError as error:
        fail(f"--budget: not JSON: {error}", 2)
    except UnicodeEncodeError:
        fail("what is not UTF-8 can be no name")
    except (ConfigError, GatewayError) as error:
        fail(str(error))
    text = f"{key}\n\nShown once. Add its hash to the configuration:\n\n{stanza}"
    _print({"key": key, "stanza": stanza}, json, text)


@app.command("list")
def list_keys(
    ctx: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Only keys of this tenant.")] = None,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """List the keys of the configuration and those stored with the ledger."""
    from gateway.commands import key as run
    from gateway.commands.catalog_text import console_for

    result = _or_fail(ctx, config, lambda snapshot: run.list_keys(snapshot, tenant))
    if json:
        _print(result, json, "")
    else:
        terminal = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        run.show(result, console_for(sys.stdout, terminal))


@app.command("rotate")
def rotate(
    ctx: typer.Context,
    key_id: KeyId,
    overlap: Annotated[
        float,
        typer.Option(min=0.0, max=7_776_000.0, help="Seconds for which the old key stays valid."),
    ] = 3_600.0,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Replace a key stored with the ledger; print the new one, once."""
    from gateway.commands import key as run

    result = _or_fail(ctx, config, lambda snapshot: run.rotate(snapshot, key_id, overlap))
    _print(
        result, json, f"{result['key']}\n\nShown once. The former key is valid {overlap:g} s more."
    )


@app.command("revoke")
def revoke(ctx: typer.Context, key_id: KeyId, config: Config = None, json: AsJson = False) -> None:
    """Revoke a key stored with the ledger: all gateways refuse it within a second."""
    from gateway.commands import key as run

    result = _or_fail(ctx, config, lambda snapshot: run.revoke(snapshot, key_id))
    _print(result, json, f"{key_id} is revoked.")


def _or_fail(
    ctx: typer.Context, config: list[Path] | None, action: "Callable[[Snapshot], dict[str, Any]]"
) -> dict[str, Any]:
    from gateway.core.errors import GatewayError

    try:
        return action(_snapshot(ctx, config))
    except GatewayError as error:
        fail(str(error))


def _snapshot(ctx: typer.Context, config: list[Path] | None, *, stored: bool = True) -> "Snapshot":
    from gateway.config.faults import ConfigError
    from gateway.config.load import load

    outside: Outside = ctx.obj
    try:
        snapshot = load(config or CONFIG, outside.env, at=outside.now())
    except ConfigError as error:
        fail(str(error))
    if stored and snapshot.ledger.url == "memory":
        fail("redis.url is memory: no key is kept there, and no gateway would know of it")
    return snapshot


def _print(result: Mapping[str, Any], json: bool, text: str) -> None:
    say_json(result) if json else say(text)
