"""The proxies on the way to providers: named here, never taken from the environment unasked."""

import re
from typing import Annotated, Final
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import PlainValidator

from gateway.config.scalars import invalid_hidden, json_schema
from gateway.core.snapshot import Secret

_NONE: Final = Secret("none")
_FORM: Final = (
    "must be none, or a URL such as http://user:password@proxy.example:3128, or https://, with its "
    "port, and what is special in user and password percent-encoded"
)


def proxy_url(value: object) -> Secret:
    if value == _NONE:
        return _NONE
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        raise invalid_hidden(_FORM)
    try:
        url = urlsplit(value)
        sound = bool(url.hostname and url.port) and "\\" not in value
    except ValueError:
        raise invalid_hidden(_FORM) from None
    known = url.scheme in ("http", "https")
    if not known or not sound or url.path not in ("", "/") or re.search("[?#]", value):
        raise invalid_hidden(_FORM)
    if url.username is not None:
        user = unquote_to_bytes(url.username)
        if not user or b":" in user:
            raise invalid_hidden("must have a user before its password, without a colon")
        if re.search(rb"[\0-\x1f\x7f]", user + unquote_to_bytes(url.password or "")):
            raise invalid_hidden("must have no control characters in user or password")
    return Secret(value)


ProxyUrl = Annotated[
    Secret, PlainValidator(proxy_url), json_schema({"type": "string", "minLength": 1})
]


def proxy_of(own: Secret | None, default: Secret | None, base_url: str) -> Secret | None:
    """A provider's own proxy, else the default where `base_url` is https; None is no proxy."""
    if own is None and urlsplit(base_url).scheme == "https":
        own = default
    return None if own == _NONE else own
