"""Who is notified when a budget comes to its end."""

from typing import Annotated

from pydantic import PlainValidator

from gateway.config.scalars import json_schema, web_url
from gateway.config.stanza import Stanza
from gateway.core.snapshot import Secret


def _webhook(value: object) -> Secret:
    no_user = "must not hold a user or a password; a secret goes in its path or query"
    return Secret(web_url(value, "https://hooks.example/budgets", no_user))


Webhook = Annotated[
    Secret, PlainValidator(_webhook), json_schema({"type": "string", "minLength": 1})
]


class Alerts(Stanza):
    webhook: Webhook | None = None
    """A URL that gets a POST of JSON when a budget reaches 80 % and 100 % of its cap. It may
    contain a secret, so it is never shown."""
