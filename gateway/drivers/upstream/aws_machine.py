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
from gateway.drivers.upstream.short_http import send_request
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


def machine_credentials(env: Mapping[str, str]) -> Issued[Credentials] | None:
    """None when the machine has no role. Blocks. Raises Misconfigured when its role fails."""
    relative = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if relative or full:
        return _container_credentials(_CONTAINER + relative if relative else full or "", env)
    if env.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    return _instance_credentials(env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _INSTANCE)


def _container_credentials(url: str, env: Mapping[str, str]) -> Issued[Credentials]:
    if not _is_trusted(url):
        raise Misconfigured("the container's AWS endpoint is neither https nor a machine's own")
    try:
        token = env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        file = env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if file:
            token = Path(file).read_text("utf-8").strip()
        answer = send_request(
            url, headers={"authorization": token} if token else {}, timeout_s=_TIMEOUT_S
        )
    except (OSError, UnicodeError):
        raise Misconfigured("the container's AWS credentials could not be had") from None
    if answer.status != 200:
        raise Misconfigured(f"the container's AWS endpoint answered with status {answer.status}")
    return _parse_credentials(answer.body)


def _instance_credentials(endpoint: str) -> Issued[Credentials] | None:
    base = endpoint.rstrip("/")
    try:
        token_answer = send_request(
            f"{base}/latest/api/token",
            method="PUT",
            headers={"x-aws-ec2-metadata-token-ttl-seconds": "300"},
            timeout_s=_TIMEOUT_S,
        )
        if token_answer.status != 200:
            return None
        session = {"x-aws-ec2-metadata-token": token_answer.body.decode("latin-1").strip()}
        roles = send_request(base + _ROLES, headers=session, timeout_s=_TIMEOUT_S)
        role = roles.body.decode("latin-1").strip()
        if roles.status != 200 or not role:
            return None
        keys = send_request(f"{base}{_ROLES}{role}", headers=session, timeout_s=_TIMEOUT_S)
    except OSError:
        return None
    if keys.status != 200:
        raise Misconfigured(f"the machine's AWS role answered with status {keys.status}")
    return _parse_credentials(keys.body)


def _parse_credentials(body: bytes) -> Issued[Credentials]:
    try:
        keys = msgspec.json.decode(body, type=_Keys)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Misconfigured("the machine's AWS credentials cannot be read") from None
    until = math.inf if keys.expiration is None else keys.expiration.timestamp()
    return Issued(Credentials(keys.access_key_id, keys.secret_access_key, keys.token), until)


def _is_trusted(url: str) -> bool:
    """Plain HTTP is only allowed to this machine: the answer contains a secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "http":
            return parts.scheme == "https"
        return host in _CONTAINERS or host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
