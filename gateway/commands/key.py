"""`tollgate key new`: a client's key, and the stanza that knows only its hash."""

import base64
import hashlib
from collections.abc import Callable

from gateway.config.faults import ConfigError, Fault
from gateway.config.scalars import name


def new_key(tenant: str, token_bytes: Callable[[int], bytes]) -> tuple[str, str]:
    """The key, to be shown once, and the YAML to add under `tenants`.

    `token_bytes` is secrets.token_bytes: the 32 bytes asked of it are the whole strength of the
    key. Raises ConfigError when the tenant's name cannot be one.
    """
    try:
        name(tenant)
    except ValueError as error:
        raise ConfigError([Fault("tenant", None, None, "", f"the name {error}")]) from None
    secret = base64.urlsafe_b64encode(token_bytes(32)).rstrip(b"=").decode()
    key = f"tg-{tenant}-{secret}"
    key_id = f"k{token_bytes(3).hex()}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    # Quoted: a name such as 1.0 or yes is a text here, but not to every reader of YAML.
    stanza = (
        f'tenants:\n  "{tenant}":\n    keys:\n      - {{id: {key_id}, hash: "sha256:{digest}"}}\n'
    )
    return key, stanza
