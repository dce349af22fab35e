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
    """`stdout`, `stderr`, or a file to append to."""
    log_content: LogContent = "off"
    """What is logged of the messages: nothing (`off`), their `hash`, the text of a `sample` of the
    requests, or the text of all (`full`). `/readyz` shows the setting."""
    sample: Share = 0.01
    """With `log_content: sample`, the share of requests whose text is logged."""
