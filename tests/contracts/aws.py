"""What AWS does with a signed request, from its documentation alone: it shares no code with us."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def refusal(
    head: bytes, body: bytes, secrets: Mapping[str, str], region: str, now: float
) -> str | None:
    """Why a request, as it arrived, would be refused; None when its signature is right."""
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    told = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if told is None:
        return "no signature"
    who, day, where, service, names, signature = told.groups()
    if (where, service) != (region, "bedrock"):
        return f"signed for {service} in {where}"
    if who not in secrets:
        return "unknown key"
    signed = names.split(";")
    must = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    if signed != sorted(signed) or not must <= set(signed):
        return f"signed are only {names}"
    stamp = headers["x-amz-date"]
    at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if abs(at - now) > 300 or not stamp.startswith(day):
        return f"signed at {stamp}"
    path, _, query = target.partition("?")
    assert not query, "Bedrock's addresses have none"
    canonical = "\n".join([
        method,
        quote(path, safe="/-_.~"),
        "",
        *(f"{name}:{headers[name].strip()}" for name in signed),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    ])  # fmt: skip
    scope = f"{day}/{region}/bedrock/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secrets[who]}".encode()
    for part in [*scope.split("/"), f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"]:
        key = hmac.new(key, part.encode(), "sha256").digest()
    return None if key.hex() == signature else "wrong signature"
