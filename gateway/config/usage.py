"""Where usage records are written on to, and for how long they are kept."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainValidator

from gateway.config.paths import PATH_RULE, is_writable_path
from gateway.config.scalars import Seconds, integer, integer_schema, invalid_hidden, json_schema
from gateway.config.stanza import Stanza
from gateway.core.snapshot import Secret

_ALLOWED = "must be jsonl:folder, parquet:folder, or a URL with postgresql://"


def _sink(value: object) -> Secret:
    if not isinstance(value, str) or not value.isprintable():
        raise invalid_hidden(_ALLOWED)
    kind, _, rest = value.partition(":")
    if kind in ("jsonl", "parquet"):
        if not rest.strip() or rest.startswith("//"):
            raise invalid_hidden(f"must name a folder, such as {kind}:./usage")
        if not is_writable_path(rest):
            raise invalid_hidden(PATH_RULE)
        return Secret(value)
    if kind not in ("postgresql", "postgres") or not re.fullmatch(r"//[!-~]+", rest):
        raise invalid_hidden(_ALLOWED)
    try:
        url = urlsplit(value)
        has_database = bool(url.path.strip("/")) and url.port != 0
    except ValueError:
        has_database = False
    if not has_database:
        raise invalid_hidden("must name a database: postgresql://user:password@host/database")
    return Secret(value)


_MAX_DAYS: Final = 365_000
"""A thousand years: so long ago there is still a valid date."""
Days = Annotated[int, BeforeValidator(integer(1, _MAX_DAYS)), integer_schema(1, _MAX_DAYS)]
Sink = Annotated[Secret, PlainValidator(_sink), json_schema({"type": "string", "minLength": 1})]


class Usage(Stanza):
    sink: Sink | None = None
    """`jsonl:folder` or `parquet:folder`, or a database: `postgresql://user:password@host/name`.
    Default: records stay in the ledger, which keeps only the newest."""
    keep_days: Days | None = None
    """How many days the sink keeps records. Older ones are removed. Default: for ever."""
    every_s: Seconds | None = None
    """Seconds between two writes. Default: 1; for Parquet, where each write is a file, 60."""
