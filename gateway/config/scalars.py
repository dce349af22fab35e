"""Texts to typed values. What each accepts is also said in JSON Schema, for editors.

Messages say what is allowed; the report adds the value, unless it may be a secret.
"""

import re
import warnings
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.core.catalog import Period
from gateway.core.money import MAX_USD
from gateway.core.snapshot import (
    CAPABILITIES,
    CLIENTS,
    DIALECTS,
    ON_UNSAFE,
    QUIRKS,
    UNSUPPORTED,
    Secret,
)

_WHOLE: Final = re.compile(r"0|[1-9][0-9]*(_[0-9]+)*", re.ASCII)
_DECIMAL: Final = re.compile(
    r"(?=[0-9.])(0|[1-9][0-9]*(_[0-9]+)*)?(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?", re.ASCII
)
"""With an exponent, too: so YAML is written by programs, a ten-thousandth as 1.0e-04."""
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._:@+-]*"
_LONGEST_NUMBER: Final = 24
_LONGEST_NAME: Final = 128
_MAX_PRICE: Final = 1_000_000
_MAX_TOKENS: Final = 1_000_000_000
MAX_COUNT: Final = 10**15
LONGEST_S: Final = 1_000_000_000
"""Seconds, for ever to a person. In microseconds Redis still counts them exactly."""
FROM_ENV: Final = {"type": "string", "pattern": r"\$\{"}
PERIODS: Final[tuple[str, ...]] = get_args(Period)
_REDIS_SCHEME: Final = r"unix|rediss?(\+sentinel|\+cluster)?"


def invalid(message: str) -> PydanticCustomError:
    """The message is followed by the value: `must be ..., not "x"`."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


def invalid_hidden(message: str) -> PydanticCustomError:
    """The message is shown without the value."""
    return PydanticCustomError("unshown", "{message}", {"message": message})


def text(value: object) -> str:
    if not isinstance(value, str):
        raise invalid("must be a text")
    if not value.strip() or not value.isprintable():
        raise invalid("must be a text of printable characters")
    return value


def matching(pattern: str, message: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise invalid(message)
        return value

    return parse


def integer(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and _WHOLE.fullmatch(value):
            number = int(value)
            if low <= number <= high:
                return number
        raise invalid(f"must be a whole number from {low:,} to {high:,}")

    return parse


def decimal(what: str, allowed: Callable[[Decimal], bool]) -> Callable[[object], Decimal]:
    def parse(value: object) -> Decimal:
        if (
            isinstance(value, str)
            and value
            and len(value) <= _LONGEST_NUMBER
            and _DECIMAL.fullmatch(value)
        ):
            number = Decimal(value)
            if allowed(number):
                return number
        raise invalid(f"must be {what}")

    return parse


_seconds: Final = decimal(
    f"a number of seconds above 0 and at most {LONGEST_S:,}", lambda s: 0 < s <= LONGEST_S
)


def _flag(value: object) -> bool:
    if value not in ("true", "false"):
        raise invalid("must be true or false")
    return value == "true"


def one_of(known: Collection[str], message: str = "") -> Callable[[object], str]:
    message = message or f"must be one of {', '.join(known)}"

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            context = {"message": message, "known": tuple(known)}
            raise PydanticCustomError("one_of", "{message}", context)
        return value

    return parse


def _api_key(value: object) -> Secret:
    if not isinstance(value, str):
        raise invalid("must be a text")
    if not value:
        raise invalid_hidden(
            "is empty: give the provider's key, or remove api_key if it needs none"
        )
    if not re.fullmatch(r"[!-~]+", value):
        raise invalid_hidden("must be printable ASCII without spaces or line ends")
    return Secret(value)


def web_url(value: object, example: str, no_user: str) -> str:
    """An http or https URL; `no_user` is the error for one that holds a user or a password."""
    message = f"must be an http or https URL such as {example}"
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        raise invalid_hidden(message)
    try:
        url = urlsplit(value)
        host, port = (url.hostname or "").encode("idna"), url.port  # as it is looked up
    except ValueError:
        raise invalid_hidden(message) from None
    if url.scheme not in ("http", "https") or not host or port == 0 or "\\" in value:
        raise invalid_hidden(message)
    if "@" in url.netloc:
        raise invalid_hidden(no_user)
    return value


def _base_url(value: object) -> str:
    no_user = "must not hold credentials; the key goes in api_key"
    value = web_url(value, "https://api.openai.com/v1", no_user)
    if "?" in value or "#" in value:
        raise invalid_hidden("must not have a query or a fragment")
    return value.rstrip("/")


def _redis_url(value: object) -> Secret:
    allowed = (
        "embedded, memory, or a URL with redis://, rediss://, unix://, redis+sentinel:// or "
        "redis+cluster://"
    )
    if not isinstance(value, str):
        raise invalid_hidden(f"must be {allowed}")
    if value in ("embedded", "memory"):
        return Secret(value)
    scheme, _, rest = value.partition("://")
    if not re.fullmatch(_REDIS_SCHEME, scheme) or not rest or not re.fullmatch(r"[!-~]+", value):
        raise invalid_hidden(f"must be {allowed}")
    place, _, path = re.split("[?#]", rest)[0].partition("/")
    hosts = place.rpartition("@")[2]
    named = map(_is_host, hosts.split(",") if "+" in scheme else [hosts])
    if not (path.strip("/") if scheme == "unix" else all(named)):
        raise invalid_hidden(
            "must name a host, with 1 to 63 characters between two dots, or for unix:// a path"
        )
    if scheme.endswith("+sentinel") and not path.strip("/"):
        raise invalid_hidden("must end in the name of a service that the sentinels know: /service")
    return Secret(value)


def _is_host(text: str) -> bool:
    """A name or an address, with a port or without."""
    try:
        url = urlsplit(f"//{text}")
        host = (url.hostname or "").encode("idna")  # as it is looked up
        return bool(host) and url.port != 0 and "," not in text
    except ValueError:
        return False


def _pattern(value: object) -> str:
    source = text(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(source)
    except (re.error, OverflowError, RecursionError) as error:
        why = error.msg if isinstance(error, re.error) else "it is too large"
        raise invalid_hidden(f"must be a regular expression that compiles: {why}") from None
    return source


def _sql_dialect(value: object) -> str:
    # Takes half a second to import, and few configurations name a dialect.
    from sqlglot.dialects import DIALECTS as SQL  # noqa: PLC0415

    known = sorted(name.lower() for name in SQL)
    return one_of(known, "must be a dialect that sqlglot knows")(value)


def _or_env(schema: dict[str, Any]) -> dict[str, Any]:
    """An editor sees `1_000` and `${N:-5}` as texts where we see a number."""
    digits = {"type": "string", "pattern": r"^[0-9][0-9_]*(\.[0-9]+)?([eE][-+]?[0-9]+)?$"}
    return {"anyOf": [schema, digits, FROM_ENV]}


def json_schema(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema(schema)


def number_schema(**bounds: float) -> WithJsonSchema:
    return json_schema(_or_env({"type": "number", **bounds}))


def integer_schema(low: int, high: int) -> WithJsonSchema:
    return json_schema(_or_env({"type": "integer", "minimum": low, "maximum": high}))


def pattern_schema(pattern: str) -> WithJsonSchema:
    return json_schema({"anyOf": [{"type": "string", "pattern": pattern}, FROM_ENV]})


def enum_schema(known: Collection[str]) -> WithJsonSchema:
    return json_schema({"anyOf": [{"enum": list(known)}, FROM_ENV]})


NAME_SCHEMA: Final = {"type": "string", "pattern": f"^{_NAME}$", "maxLength": _LONGEST_NAME}
_TEXT: Final = json_schema({"type": "string", "minLength": 1})


def name(value: object) -> str:
    """What may be a name: it appears in headers, labels and ledger keys."""
    if isinstance(value, str) and "/" in value:
        raise invalid('must not contain "/": that is how provider/model is written')
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise invalid(f"must be a name of at most {_LONGEST_NAME} characters")
    return matching(
        _NAME, "must be of letters, digits and . _ : @ + -, and begin with one of the first two"
    )(value)


Text = Annotated[str, BeforeValidator(text), _TEXT]
Naming = Annotated[str, BeforeValidator(name), json_schema(NAME_SCHEMA)]
NAME_OR_ENV_SCHEMA: Final = {"anyOf": [NAME_SCHEMA, FROM_ENV]}
Name = Annotated[str, BeforeValidator(name), json_schema(NAME_OR_ENV_SCHEMA)]
Tokens = Annotated[int, BeforeValidator(integer(1, _MAX_TOKENS)), integer_schema(1, _MAX_TOKENS)]
Count = Annotated[int, BeforeValidator(integer(1, MAX_COUNT)), integer_schema(1, MAX_COUNT)]
Weight = Count
Depth = Annotated[int, BeforeValidator(integer(1, 200)), integer_schema(1, 200)]
Seconds = Annotated[
    float,
    BeforeValidator(lambda value: float(_seconds(value))),
    number_schema(exclusiveMinimum=0, maximum=LONGEST_S),
]
Milliseconds = Annotated[int, BeforeValidator(integer(1, 60_000)), integer_schema(1, 60_000)]
Usd = Annotated[
    Decimal,
    BeforeValidator(
        decimal(f"an amount in USD above 0 and at most {MAX_USD:,}", lambda a: 0 < a <= MAX_USD)
    ),
    number_schema(exclusiveMinimum=0, maximum=int(MAX_USD)),
]
UsdPerMillion = Annotated[
    Decimal,
    BeforeValidator(
        decimal(
            f"USD per million tokens, 0 to {_MAX_PRICE:,}, such as 0.25",
            lambda a: 0 <= a <= _MAX_PRICE,
        )
    ),
    number_schema(minimum=0, maximum=_MAX_PRICE),
]
Flag = Annotated[
    bool, BeforeValidator(_flag), json_schema({"anyOf": [{"type": "boolean"}, FROM_ENV]})
]
Dialect = Annotated[str, BeforeValidator(one_of(DIALECTS)), enum_schema(DIALECTS)]
Client = Annotated[str, BeforeValidator(one_of(CLIENTS)), enum_schema(CLIENTS)]
OnUnsafe = Annotated[str, BeforeValidator(one_of(ON_UNSAFE)), enum_schema(ON_UNSAFE)]
Capability = Annotated[str, BeforeValidator(one_of(CAPABILITIES)), enum_schema(CAPABILITIES)]
Quirk = Annotated[str, BeforeValidator(one_of(QUIRKS)), enum_schema(QUIRKS)]
Unsupported = Annotated[str, BeforeValidator(one_of(UNSUPPORTED)), enum_schema(UNSUPPORTED)]
Per = Annotated[Period, BeforeValidator(one_of(PERIODS)), enum_schema(PERIODS)]
ApiKey = Annotated[Secret, PlainValidator(_api_key), _TEXT]
BaseUrl = Annotated[str, BeforeValidator(_base_url), _TEXT]
RedisUrl = Annotated[str, PlainValidator(_redis_url), _TEXT]
Pattern = Annotated[str, BeforeValidator(_pattern), _TEXT]
SqlDialect = Annotated[str, BeforeValidator(_sql_dialect), _TEXT]
