"""Lines of usage in a PostgreSQL table. It needs asyncpg, the extra `postgres`.

The table is created when missing; TABLE is its DDL, for those who create it by hand. A line's key
is its call and its kind: writing it again changes nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final

from gateway.core.packages import how_to_install
from gateway.core.records.line import Line, Reading, StoreError
from gateway.core.records.row import KINDS, LATER, NAMES, columns_of, line_of_row
from gateway.drivers.usage.store import READ_BATCH

try:
    import asyncpg
except ImportError as _error:
    raise StoreError(
        "missing", f"PostgreSQL needs asyncpg: {how_to_install('postgres')}"
    ) from _error

_CONNECT_S: Final = 5.0
_COMMAND_S: Final = 15.0
_DELETE_BATCH: Final = 10_000
"""Rows deleted per statement."""
_NULLABLE: Final = "first_token_s"
_TYPES: Final = {
    "text": "text",
    "int": "bigint",
    "float": "double precision",
    "bool": "boolean",
    "json": "jsonb",
    "time": "timestamptz",
}


def _default(name: str) -> str:
    return f" DEFAULT '{LATER[name]}'" if name in LATER else ""


_COLUMNS: Final = ",\n".join(
    f"    {name} {_TYPES[kind]}{'' if name == _NULLABLE else ' NOT NULL'}{_default(name)}"
    for name, kind in zip(NAMES, KINDS, strict=True)
)
TABLE: Final = f"""\
CREATE TABLE IF NOT EXISTS tollgate_usage (
{_COLUMNS},
    PRIMARY KEY (attempt, kind)
);
CREATE INDEX IF NOT EXISTS tollgate_usage_time ON tollgate_usage (time);
CREATE INDEX IF NOT EXISTS tollgate_usage_tenant ON tollgate_usage (tenant, time);
"""
_ADD_COLUMNS: Final = "".join(
    f"ALTER TABLE tollgate_usage ADD COLUMN IF NOT EXISTS {name} "
    f"{_TYPES[KINDS[NAMES.index(name)]]} NOT NULL{_default(name)};\n"
    for name in LATER
)
_COUNT_COLUMNS: Final = (
    "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('tollgate_usage') "
    "AND attname = ANY($1::text[]) AND NOT attisdropped"
)
_PARAMETER_TYPES: Final = [
    "text" if kind == "json" else _TYPES[kind] for kind in KINDS
]  # JSON goes as the text it is
_INSERT: Final = (
    f"INSERT INTO tollgate_usage ({', '.join(NAMES)}) SELECT "  # noqa: S608 - names of ours
    + ", ".join(
        f"{name}::jsonb" if kind == "json" else name
        for name, kind in zip(NAMES, KINDS, strict=True)
    )
    + " FROM unnest("
    + ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_PARAMETER_TYPES, 1))
    + f") AS line({', '.join(NAMES)}) ON CONFLICT (attempt, kind) DO NOTHING"
)
_SELECT: Final = (
    f"SELECT {', '.join(NAMES)} FROM tollgate_usage "  # noqa: S608 - names of ours
    "WHERE time >= $1 AND time < $2 ORDER BY time"
)
_DELETE: Final = (
    "DELETE FROM tollgate_usage WHERE ctid IN "
    "(SELECT ctid FROM tollgate_usage WHERE time < $1 LIMIT $2)"
)
_MIN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME: Final = datetime(9999, 1, 1, tzinfo=UTC)
_NULL: Final = "\0"
"""The one character that PostgreSQL texts cannot contain."""


class PostgresStore:
    """One connection, opened when first needed, and again after any failure."""

    def __init__(self, url: str) -> None:
        self.every_s = 1.0
        self._url = url
        self._connection: Any = None
        self._lock = asyncio.Lock()

    async def write(self, lines: Sequence[Line]) -> None:
        columns = [
            [value.replace(_NULL, "\ufffd") for value in values] if kind == "text" else values
            for values, kind in zip(columns_of(lines), KINDS, strict=True)
        ]
        for values, kind in zip(columns, KINDS, strict=True):
            if kind == "json":
                values[:] = [value.replace("\\u0000", "\\ufffd") for value in values]
        await self._execute(_INSERT, *columns)

    async def read(
        self, reading: Reading, since: str = "", until: str = ""
    ) -> AsyncGenerator[Sequence[Line], None]:
        try:
            async with self._lock:
                connection = await self._connect()
                async with connection.transaction(readonly=True):
                    cursor = await connection.cursor(
                        _SELECT, _parse_time(since, _MIN_TIME), _parse_time(until, _MAX_TIME)
                    )
                    while rows := await cursor.fetch(READ_BATCH):
                        lines = [line_of_row(tuple(row)) for row in rows]
                        yield [line for line in lines if reading.first(line)]
        except _FAILURES as error:
            raise self._store_error(error) from None

    async def tidy(self, oldest: date) -> None:
        before = datetime.combine(oldest, time(), UTC)
        while await self._execute(_DELETE, before, _DELETE_BATCH) == f"DELETE {_DELETE_BATCH}":
            pass

    async def aclose(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _execute(self, command: str, *arguments: object) -> str:
        try:
            async with self._lock:
                connection = await self._connect()
                status: str = await connection.execute(command, *arguments)
                return status
        except _FAILURES as error:
            raise self._store_error(error) from None

    async def _connect(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url, timeout=_CONNECT_S, command_timeout=_COMMAND_S
            )
            await self._connection.execute("SET client_min_messages TO warning")
            if await self._connection.fetchval("SELECT to_regclass('tollgate_usage')") is None:
                await self._connection.execute(TABLE)
            elif await self._connection.fetchval(_COUNT_COLUMNS, [*LATER]) < len(LATER):
                await self._connection.execute(_ADD_COLUMNS)
        return self._connection

    def _store_error(self, error: BaseException) -> StoreError:
        # Also after a refusal: another connection may find the primary after a failover, and makes
        # a table that was moved away anew.
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        if isinstance(error, asyncpg.PostgresError):
            # The message is safe to show: our values are only in the error's `detail`.
            return StoreError("refused", f"PostgreSQL: {error.args[0] if error.args else error}")
        why = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
        return StoreError("unreachable", f"PostgreSQL: {why}")


_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    ValueError,
)


def _parse_time(text: str, default: datetime) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else default
