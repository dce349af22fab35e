"""Who is told when a budget comes to its end."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import PlainValidator

from gateway.config.scalars import described, unshown
from gateway.config.stanza import Stanza
from gateway.core.snapshot import Secret


def _webhook(value: object) -> Secret:
    message = "must be an http or https URL such as https://hooks.example/budgets"
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        raise unshown(message)
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise unshown(message) from None
    if url.scheme not in ("http", "https") or not url.hostname or port == 0 or "\\" in value:
        raise unshown(message)
    if "@" in url.netloc:
        raise unshown("must not hold a user or a password; a secret goes in its path or query")
    return Secret(value)


Webhook = Annotated[Secret, PlainValidator(_webhook), described({"type": "string", "minLength": 1})]


class Alerts(Stanza):
    webhook: Webhook | None = None
    """A URL that is told, by a POST of JSON, when a budget comes to 80 % and to 100 % of its cap.
    It may hold a secret, so it is never shown."""
