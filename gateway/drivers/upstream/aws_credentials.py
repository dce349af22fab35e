"""AWS credentials, where AWS's own tools look for them, in their order.

    keys in the configuration
    a profile of the shared files, when the configuration names one
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
    the shared files: the profile AWS_PROFILE, else `default`
    the role of the container or the machine (see aws_machine)

Not here: roles to assume, single sign-on, credential_process and web identities. A profile that
wants one of them is refused by its name, never passed over.
"""

import re
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from pathlib import Path
from typing import Final

from gateway.core.errors import Misconfigured
from gateway.core.snapshot import AwsAuth
from gateway.drivers.upstream.aws_machine import machine_credentials
from gateway.drivers.upstream.renewed import Issued
from gateway.wire.sigv4 import Credentials

_UNSUPPORTED: Final = (
    "role_arn", "web_identity_token_file", "sso_session", "sso_start_url", "credential_process",
    "login_session",
)  # fmt: skip
_LOOK_AGAIN_S: Final = 60.0
"""Temporary keys in a file have no expiry; whatever wrote them is expected to renew them."""
_PRINTABLE: Final = re.compile(r"[!-~]+")


def find(auth: AwsAuth, env: Mapping[str, str]) -> Issued[Credentials]:
    """Reads every source again on each call. Blocks. Raises Misconfigured."""
    found = _from_config(auth)
    if found is None and auth.profile is None:
        found = _from_environment(env)
    if found is None:
        found = _from_files(auth.profile, env)
    if found is None and auth.profile is None:
        found = machine_credentials(env)
    if found is None:
        where = "the environment, the shared files or the machine's role"
        where = where if auth.profile is None else "the profile that is configured"
        raise Misconfigured(f"no AWS credentials in {where}")
    keys = found.value
    texts = (keys.access_key_id, keys.secret_access_key, keys.session_token)
    if not all(text is None or _PRINTABLE.fullmatch(text) for text in texts):
        raise Misconfigured("the AWS credentials are no keys: empty, or with characters between")
    return found


def _from_config(auth: AwsAuth) -> Issued[Credentials] | None:
    if auth.access_key_id is None or auth.secret_access_key is None:
        return None
    return Issued(Credentials(auth.access_key_id, auth.secret_access_key, auth.session_token))


def _from_environment(env: Mapping[str, str]) -> Issued[Credentials] | None:
    key, secret = env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")
    if not key and not secret:
        return None
    if not key or not secret:
        raise Misconfigured("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: one without the other")
    return Issued(Credentials(key, secret, env.get("AWS_SESSION_TOKEN") or None))


def _from_files(profile: str | None, env: Mapping[str, str]) -> Issued[Credentials] | None:
    name = profile or env.get("AWS_PROFILE") or "default"
    home = env.get("HOME") or env.get("USERPROFILE")
    settings: dict[str, str] = {}
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name),
    ):
        path = env.get(variable) or (f"{home}/.aws/{file}" if home else None)
        if path is not None:
            if home and path.startswith("~/"):
                path = home + path[1:]
            settings |= _read_section(Path(path), section)  # credentials come last: they win
    if not settings and env.get("AWS_PROFILE") and profile is None:
        raise Misconfigured("AWS_PROFILE names a profile that is not in the shared files")
    key, secret = settings.get("aws_access_key_id"), settings.get("aws_secret_access_key")
    if key and secret:
        token = settings.get("aws_session_token") or settings.get("aws_security_token") or None
        found = Credentials(key, secret, token)
        return Issued(found, look_again_s=_LOOK_AGAIN_S) if token else Issued(found)
    for other in _UNSUPPORTED:
        if other in settings:
            raise Misconfigured(f"the AWS profile has {other} in place of keys: not supported")
    return None


def _read_section(path: Path, name: str) -> dict[str, str]:
    parser = RawConfigParser(default_section="", strict=False)
    try:
        parser.read_string(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError, Error):  # their texts quote the file
        raise Misconfigured("an AWS shared file cannot be read") from None
    return dict(parser[name]) if parser.has_section(name) else {}
