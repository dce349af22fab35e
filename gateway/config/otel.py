"""Where traces are sent."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainValidator

from gateway.config.log import Share
from gateway.config.scalars import Flag, Text, invalid, invalid_hidden, json_schema, matching
from gateway.config.stanza import Stanza
from gateway.core.snapshot import Secret

_HEADER: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"


def _endpoint(value: object) -> str:
    plain = r"https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?"
    if not isinstance(value, str) or not re.fullmatch(plain, value):
        raise invalid_hidden(
            "must be a URL such as http://localhost:4318/v1/traces; a key is a header"
        )
    return value


def _header(value: object) -> Secret:
    """Of more than one word, as `Bearer ...` is."""
    if not isinstance(value, str):
        raise invalid("must be a text")
    if not re.fullmatch(r"[!-~]+( +[!-~]+)*", value):
        raise invalid_hidden("must be printable ASCII, without a line end or a space at either end")
    return Secret(value)


Endpoint = Annotated[
    str, PlainValidator(_endpoint), json_schema({"type": "string", "pattern": r"^https?://|\$\{"})
]
HeaderName = Annotated[
    str,
    BeforeValidator(matching(_HEADER, "must be the name of a header, such as authorization")),
    json_schema({"type": "string", "pattern": f"^{_HEADER}$"}),
]
HeaderValue = Annotated[
    Secret, PlainValidator(_header), json_schema({"type": "string", "minLength": 1})
]


class Otel(Stanza):
    endpoint: Endpoint
    """Where spans are sent, as OTLP over HTTP: `http://localhost:4318/v1/traces`."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers of these requests: `authorization: "Bearer ${NAME}"`. Never shown."""
    service_name: Text = "tollgate"
    """The `service.name` of all spans."""
    sample: Share = 1.0
    """The share of traces to send, of those that begin here. For the others, the client's
    `traceparent` decides."""
    content: Flag = False
    """Whether spans include the messages of requests and answers."""
