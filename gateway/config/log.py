"""Where a line for each request is written, and whether words are in it."""

from typing import Annotated

from pydantic import BeforeValidator

from gateway.config.paths import path_text
from gateway.config.scalars import decimal, enum_schema, json_schema, number_schema, one_of
from gateway.config.stanza import Stanza
from gateway.core.life_log.words import LOG_CONTENT

LogContent = Annotated[str, BeforeValidator(one_of(LOG_CONTENT)), enum_schema(LOG_CONTENT)]
LogPath = Annotated[
    str, BeforeValidator(path_text), json_schema({"type": "string", "minLength": 1})
]
_share = decimal("a share from 0 to 1", lambda share: share <= 1)
Share = Annotated[
    float, BeforeValidator(lambda value: float(_share(value))), number_schema(minimum=0, maximum=1)
]


class Log(Stanza):
    to: LogPath = "stdout"
    """`stdout`, `stderr`, or a file, to which lines are added."""
    log_content: LogContent = "off"
    """What is written of requests and answers beside names, times and money: nothing (`off`),
    their `hash`, all of a `sample` of the requests, or all (`full`). `/readyz` shows it."""
    sample: Share = 0.01
    """The share of the requests whose words are written, with `log_content: sample`."""
