"""Where traces are sent."""

import re
from typing import Annotated

from pydantic import Field, PlainValidator

from gateway.config.log import Share
from gateway.config.scalars import ApiKey, Flag, Naming, Text, described, unshown
from gateway.config.stanza import Stanza


def _endpoint(value: object) -> str:
    plain = r"https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?"
    if not isinstance(value, str) or not re.fullmatch(plain, value):
        raise unshown("must be a URL such as http://localhost:4318/v1/traces; a key is a header")
    return value


Endpoint = Annotated[
    str, PlainValidator(_endpoint), described({"type": "string", "pattern": r"^https?://|\$\{"})
]


class Otel(Stanza):
    endpoint: Endpoint
    """Where spans are sent, by OTLP over HTTP: `http://localhost:4318/v1/traces`."""
    headers: dict[Naming, ApiKey] = Field(default_factory=dict)
    """Headers that go with them, such as a key, best as `${NAME}`."""
    service_name: Text = "tollgate"
    """`service.name` of all spans."""
    sample: Share = 1.0
    """The share of the traces that begin here which is sent. Of others, their `traceparent` says
    whether they are."""
    content: Flag = False
    """Whether what was asked and answered goes with them."""
