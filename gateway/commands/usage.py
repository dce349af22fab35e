"""`tollgate usage`: what was used and what it cost, by whom and for what."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct
from rich.console import Console

from gateway.commands.usage_report import as_text, show
from gateway.commands.wrong_option import FORMATS, WrongOption, one_of
from gateway.config.faults import quoted
from gateway.config.load import load
from gateway.core.records.line import Line, Reading, stamp
from gateway.core.records.table import Table, UnknownColumn
from gateway.stores import open_books, read_usage

_AGO: Final = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FOLDERS: Final = frozenset({"jsonl", "parquet"})
_STORES: Final = ("jsonl:", "parquet:", "postgresql:", "postgres:")


class UsageOptions(Struct, frozen=True):
    """The options as they were written. `source` is a sink; "" is the configuration's."""

    by: str
    since: str
    until: str
    form: str
    source: str
    config: Sequence[Path]


class Output(Struct, frozen=True):
    """`text` is None where a table was shown. `notes` are for a person."""

    text: str | None
    notes: tuple[str, ...]


def usage(options: UsageOptions, env: Mapping[str, str], now: datetime, console: Console) -> Output:
    """Raises WrongOption, ConfigError, StoreError and LedgerDown."""
    form = one_of("--format", options.form, FORMATS)
    since = parse_time("--since", options.since, now)
    until = parse_time("--until", options.until, now)
    if since and until and since >= until:
        raise WrongOption("--until", "must be later than --since")
    reading = Reading()
    table, notes = asyncio.run(_read(options, env, now, (since, until), reading))
    if reading.twice:
        notes.append(f"{reading.twice:,} records came again, and count once")
    if reading.torn:
        notes.append(f"{reading.torn:,} files end within a line, which is left out")
    if form != "table":
        return Output(as_text(table, form), tuple(notes))
    show(table, console)
    return Output(None, tuple(notes))


def parse_time(option: str, text: str, now: datetime) -> str:
    """`24h`, `7d`, `2026-11-01` or a time, as in a line of usage; "" is none. UTC where no offset
    is written.
    """
    if not text:
        return ""
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            at = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return stamp(int(at.timestamp() * 1_000))
    except (ValueError, OverflowError):
        allowed = "24h, 7d, 2026-11-01 or 2026-11-01T12:00+01:00"
        raise WrongOption(option, f"must be such as {allowed}, not {quoted(text)}") from None


async def _read(
    options: UsageOptions,
    env: Mapping[str, str],
    now: datetime,
    span: tuple[str, str],
    reading: Reading,
) -> tuple[Table, list[str]]:
    origin = (options.source, options.config)
    async with open_records(origin, env, now, span, reading) as (tags, lines, notes):
        table = _table(options.by, tags)
        async for line in lines:
            table.add(line)
        return table, notes


@asynccontextmanager
async def open_records(
    origin: tuple[str, Sequence[Path]],
    env: Mapping[str, str],
    now: datetime,
    span: tuple[str, str],
    reading: Reading,
) -> AsyncIterator[tuple[Sequence[str] | None, AsyncIterator[Line], list[str]]]:
    """The configured tags (None: any), what was recorded in a span of time, and notes for a
    person. `origin` is a sink ("" for the configuration's), and the configuration.

    Raises WrongOption, ConfigError, StoreError and LedgerDown.
    """
    source, config = origin
    if source:
        _check_sink(source)
        async with aclosing(read_usage(source, reading, *span)) as lines:
            yield None, _within(lines, span), []
        return
    snapshot = load(config, env, at=now)
    tags = tuple(snapshot.tags)
    if snapshot.usage.sink is not None:
        async with aclosing(read_usage(snapshot.usage.sink, reading, *span)) as lines:
            yield tags, _within(lines, span), []
        return
    if snapshot.ledger.url == "memory":
        raise WrongOption("--from", "is needed: redis.url is memory, and there is no usage.sink")
    async with open_books(snapshot) as books:
        note = "there is no usage.sink: these are the newest records, which the ledger still has"
        yield tags, _within(books.lines(reading, *span), span), [note]


def _check_sink(source: str) -> None:
    """Raises WrongOption. Unlike a configured sink, one that is named must exist."""
    if not source.startswith(_STORES):
        raise WrongOption("--from", "must be jsonl:folder, parquet:folder or a postgresql:// URL")
    kind, _, folder = source.partition(":")
    if kind in _FOLDERS and not folder:
        raise WrongOption("--from", f"must name a folder, such as {kind}:usage")
    try:
        found = kind not in _FOLDERS or Path(folder).is_dir()
    except OSError as error:  # nobody may look in there, or the name is too long
        raise WrongOption("--from", f"{folder}: {error.strerror}") from None
    if not found:
        raise WrongOption("--from", f"{folder} is no folder")


async def _within(
    lines: AsyncGenerator[Sequence[Line], None], span: tuple[str, str]
) -> AsyncIterator[Line]:
    since, until = span
    async for some in lines:
        for line in some:
            if since <= line.time and (not until or line.time < until):
                yield line


def _table(by: str, tags: Sequence[str] | None) -> Table:
    names = [name.strip() for name in by.split(",") if name.strip()]
    try:
        return Table([*dict.fromkeys(names)], tags)
    except UnknownColumn as error:
        raise WrongOption("--by", str(error)) from None
