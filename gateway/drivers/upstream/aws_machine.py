"""The AWS credentials of the machine: of a container (ECS, EKS), else of an EC2 instance.

Source: AWS, "Container credential provider" and "IMDS credential provider" (version 2 only).
"""

import math
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.core.errors import Misconfigured
from gateway.drivers.upstream.renewed import Issued
from gateway.drivers.upstream.short_http import ask
from gateway.wire.sigv4 import Credentials

_CONTAINER: Final = "http://169.254.170.2"
_CONTAINERS: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
"""Hosts that may be asked over plain HTTP, besides loopback."""
_INSTANCE: Final = "http://169.254.169.254"
_ROLES: Final = "/latest/meta-data/iam/security-credentials/"
_TIMEOUT_S: Final = 1.0


class _Keys(Struct):
    access_key_id: str = msgspec.field(name="AccessKeyId")
    secret_access_key: str = msgspec.field(name="SecretAccessKey")
    token: str | None = msgspec.field(name="Token", default=None)
    expiration: datetime | None = msgspec.field(name="Expiration", default=None)


def of_machine(env: Mapping[str, str]) -> Issued[Credentials] | None:
    """None when the machine has no role. Blocks. Raises Misconfigured when it has, and fails."""
    relative = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if relative or full:
        return _of_container(_CONTAINER + relative if relative else full or "", env)
    if env.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    return _of_instance(env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _INSTANCE)


def _of_container(url: str, env: Mapping[str, str]) -> Issued[Credentials]:
    if not _is_trusted(url):
        raise Misconfigured("the container's AWS endpoint is neither https nor a machine's own")
    try:
        token = env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        file = env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if file:
            token = Path(file).read_text("utf-8").strip()
        answer = ask(url, headers={"authorization": token} if token else {}, timeout_s=_TIMEOUT_S)
    except (OSError, UnicodeError):
        raise Misconfigured("the container's AWS credentials could not be had") from None
    if answer.status != 200:
        raise Misconfigured(f"the container's AWS endpoint answered with status {answer.status}")
    return _issued(answer.body)


def _of_instance(endpoint: str) -> Issued[Credentials] | None:
    base = endpoint.rstrip("/")
    try:
        told = ask(
            f"{base}/latest/api/token",
            method="PUT",
            headers={"x-aws-ec2-metadata-token-ttl-seconds": "300"},
            timeout_s=_TIMEOUT_S,
        )
        if told.status != 200:
            return None
        session = {"x-aws-ec2-metadata-token": told.body.decode("latin-1").strip()}
        roles = ask(base + _ROLES, headers=session, timeout_s=_TIMEOUT_S)
        role = roles.body.decode("latin-1").strip()
        if roles.status != 200 or not role:
            return None
        keys = ask(f"{base}{_ROLES}{role}", headers=session, timeout_s=_TIMEOUT_S)
    except OSError:
        return None
    if keys.status != 200:
        raise Misconfigured(f"the machine's AWS role answered with status {keys.status}")
    return _issued(keys.body)


def _issued(body: bytes) -> Issued[Credentials]:
    try:
        keys = msgspec.json.decode(body, type=_Keys)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Misconfigured("the machine's AWS credentials cannot be read") from None
    until = math.inf if keys.expiration is None else keys.expiration.timestamp()
    return Issued(Credentials(keys.access_key_id, keys.secret_access_key, keys.token), until)


def _is_trusted(url: str) -> bool:
    """What is asked over plain HTTP must be this machine: a secret comes back."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "http":
            return parts.scheme == "https"
        return host in _CONTAINERS or host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
