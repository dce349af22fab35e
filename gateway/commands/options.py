"""Options that commands share, and how commands print their results."""

import errno
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.commands.usage import Output

_WIDE: Final = 300
_OF_STDOUT: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE))


def nonempty(text: str) -> str:
    """Refuses what a script passes where its variable is not set: it would be the current folder,
    or every address of the machine.
    """
    if not text:
        raise typer.BadParameter("must not be empty")
    return text


def some_path(text: str) -> Path:
    return Path(nonempty(text))


def _host(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("must be an address or a name") from None
    return nonempty(text)


# A list: it is what the option gives.
CONFIG = [Path("config/gateway.yaml")]
Config = Annotated[
    list[Path],
    typer.Option(
        "--config",
        "-c",
        help="A YAML file, or a folder of YAML files. Repeatable.",
        metavar="PATH",
        parser=some_path,
    ),
]
Host = Annotated[str, typer.Option(help="The address to listen on.", parser=_host)]
Port = Annotated[
    int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 picks a free one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Of commands that read records of use.
Since = Annotated[
    str,
    typer.Option(
        help="Start: 24h or 7d before now, or a day or time in UTC such as 2026-11-01.",
        metavar="WHEN",
    ),
]
Until = Annotated[
    str, typer.Option(help="End, exclusive, in the same forms as --since.", metavar="WHEN")
]
Source = Annotated[
    str,
    typer.Option(
        "--from", help="The sink to read. Default: usage.sink, else the ledger.", metavar="SINK"
    ),
]


# Of commands that read recorded answers.
Pool = Annotated[
    str, typer.Option(help="Recorded models, comma-separated, from the first rung to the last.")
]
RouteConfig = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration that defines the route.",
        metavar="PATH",
        parser=some_path,
    ),
]


def names_in(pool: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in pool.split(",") if name.strip())


def console() -> "Console":
    """As wide as the terminal; anywhere else, wide enough for every table."""
    from rich.console import Console  # noqa: PLC0415 - so that --help is quick

    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


def say(text: str) -> None:
    """Print and flush, so that a file has it at once, too."""
    typer.echo(text)
    sys.stdout.flush()


def say_json(value: Any) -> None:
    import msgspec  # noqa: PLC0415 - so that --help is quick

    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:  # such as the name of a file that is not UTF-8
        encoded = msgspec.json.encode(_readable(msgspec.to_builtins(value)))
    typer.echo(msgspec.json.format(encoded).decode())


def readable(text: str) -> str:
    """A text with escapes in the place of what is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _readable(value: Any) -> Any:
    match value:
        case str():
            return readable(value)
        case dict():
            return {_readable(name): _readable(each) for name, each in value.items()}
        case list() | tuple():
            return [_readable(each) for each in value]
        case _:
            return value


def say_lines(lines: Iterable[str], *, ok: bool, json: bool) -> None:
    """For a person, or as `{"ok": ..., "lines": [...]}`."""
    if json:
        say_json({"ok": ok, "lines": list(lines)})
        return
    for line in lines:
        typer.echo(line)


def fail(text: str, code: int = 1) -> NoReturn:
    """1: it cannot be done; 2: an option cannot be used."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


def is_of_stdout(error: OSError) -> bool:
    """Whether what is printed cannot be written: errors of other files have their names."""
    return error.errno in _OF_STDOUT and error.filename is None


def fail_file(error: OSError) -> NoReturn:
    """For a file that cannot be read or written. Raises an error of stdout."""
    if is_of_stdout(error):
        raise error
    fail(f"{error.filename}: {error.strerror or error}")


def write_file(path: Path, content: bytes) -> None:
    """Raises OSError that has the file's name, also where the disk is full."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def fail_config(error: Exception) -> NoReturn:
    """All faults, and a hint where the default configuration file does not exist."""
    lines = str(error)
    if lines.startswith(f"{CONFIG[0]}: ") and not CONFIG[0].exists():
        lines += "\nname another by --config; `tollgate demo` needs none"
    fail(lines)


def run_and_print(
    run: Callable[[], tuple[list[str], int]], *, json: bool = False, source: str = ""
) -> None:
    """Exit code 2 for an option that cannot be used, 1 for what could not be read.

    `run` returns the lines to print and the exit code. `source` is the value of --from.
    """
    from gateway.commands.wrong_option import WrongOption  # noqa: PLC0415 - so that --help is quick
    from gateway.config.faults import ConfigError  # noqa: PLC0415
    from gateway.core.errors import LedgerDown  # noqa: PLC0415
    from gateway.core.records.line import StoreError  # noqa: PLC0415

    try:
        lines, code = run()
    except WrongOption as error:
        fail(str(error), 2)
    except ConfigError as error:
        fail_config(error)
    except LedgerDown as error:
        fail(f"redis: {error}")
    except StoreError as error:
        fail(f"{'--from' if source else 'usage.sink'}: {error}")
    say_lines(lines, ok=code == 0, json=json)
    if code:
        raise typer.Exit(code)


def as_lines(output: "Output") -> tuple[list[str], int]:
    """Its lines, and exit code 0. Its notes go to stderr."""
    for note in output.notes:
        typer.echo(f"note: {note}", err=True)
    return [output.text] if output.text is not None else [], 0
