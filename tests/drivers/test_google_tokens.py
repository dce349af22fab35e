"""Google's tokens: from files, by google-auth, and from the machine; asked of loopback."""

import asyncio
import base64
import json
import ssl
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gateway.core.errors import Misconfigured
from gateway.core.snapshot import GOOGLE_SCOPE, GoogleAuth, Secret
from gateway.drivers.upstream.google_tokens import fetch
from gateway.drivers.upstream.http_tunnel import Proxy
from tests.drivers.connect_proxy import connect_proxy
from tests.drivers.endpoints import Endpoint, endpoint
from tests.drivers.scripted import Peer, scripted, sized

KEY: Final = rsa.generate_private_key(65537, 2048)
PEM: Final = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
TOKEN: Final[dict[str, Any]] = {
    "access_token": "ya29.canary",
    "expires_in": 3600,
    "token_type": "Bearer",
}
MACHINE: Final = "GET /computeMetadata/v1/instance/service-accounts/default/token"
NOW: Final = 1_764_072_000.0


def account(there: Endpoint, **changes: Any) -> dict[str, Any]:
    return {
        "type": "service_account",
        "client_email": "gateway@project.iam.gserviceaccount.com",
        "private_key": PEM,
        "private_key_id": "k1",
        "token_uri": f"{there.url}/token",
        **changes,
    }


def written(folder: Path, info: object) -> GoogleAuth:
    file = folder / "credentials.json"
    file.write_text(info if isinstance(info, str) else json.dumps(info))
    return GoogleAuth(str(file))


def part(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=="))


def test_a_service_account_signs_for_its_token(tmp_path: Path) -> None:
    with endpoint({"POST /token": (200, TOKEN)}) as there:
        issued = fetch(written(tmp_path, account(there)), {}, NOW)
    assert issued.value == "ya29.canary"
    assert isinstance(issued.value, Secret)
    form = parse_qs(there.asked[0].body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    signed, _, signature = form["assertion"][0].rpartition(".")
    KEY.public_key().verify(
        base64.urlsafe_b64decode(signature + "=="),
        signed.encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
    claims = part(signed.split(".")[1])
    assert claims["iss"] == "gateway@project.iam.gserviceaccount.com"
    assert (claims["aud"], claims["scope"]) == ("https://oauth2.googleapis.com/token", GOOGLE_SCOPE)
    assert issued.until == pytest.approx(claims["iat"] + 3600, abs=30)


async def test_a_token_is_fetched_through_the_providers_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host is beyond the proxy as the provider is, and has no other way."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("tokens.invalid").configure_cert(context)
    heads: list[bytes] = []

    async def play(peer: Peer) -> None:
        heads.append(await peer.hear())
        peer.say(sized(json.dumps(TOKEN).encode(), "content-type: application/json"))

    async with scripted(play, context) as there, connect_proxy(there.port) as proxy:
        info = account(Endpoint(), token_uri="https://tokens.invalid/token")
        way = Proxy(proxy.url)
        issued = await asyncio.to_thread(fetch, written(tmp_path, info), {}, NOW, way)
    assert issued.value == "ya29.canary"
    assert proxy.asked[0].startswith(b"CONNECT tokens.invalid:443 ")
    assert heads[0].startswith(b"POST /token HTTP/1.1\r\n")


async def test_a_machines_own_metadata_is_not_behind_it(tmp_path: Path) -> None:
    answers = {MACHINE: (200, TOKEN), "POST /token": (200, TOKEN)}
    async with connect_proxy() as proxy:
        with endpoint(answers) as there:
            way = Proxy(proxy.url)
            env = {"GCE_METADATA_HOST": there.host, "HOME": str(tmp_path)}
            issued = await asyncio.to_thread(fetch, GoogleAuth(), env, NOW, way)
            assert issued.value == "ya29.canary"
            auth = written(tmp_path, account(there))  # plain http: on the machine, or beside it
            assert (await asyncio.to_thread(fetch, auth, {}, NOW, way)).value == "ya29.canary"
        assert not proxy.asked


def test_a_workload_identity_changes_its_token_for_another(tmp_path: Path) -> None:
    subject = tmp_path / "subject"
    subject.write_text("of-the-workload")
    with endpoint({"POST /sts": (200, TOKEN | {"issued_token_type": "t"})}) as there:
        info = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{there.url}/sts",
            "credential_source": {"file": str(subject)},
        }
        assert fetch(written(tmp_path, info), {}, NOW).value == "ya29.canary"
    assert parse_qs(there.asked[0].body.decode())["subject_token"] == ["of-the-workload"]


def test_a_login_refreshes_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "application_default_credentials.json").write_text(json.dumps(info))
    with endpoint({"POST /token": (200, TOKEN)}) as there:
        # The one address that google-auth takes from no file.
        fixed = "google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT"
        monkeypatch.setattr(fixed, f"{there.url}/token")
        issued = fetch(GoogleAuth(), {"CLOUDSDK_CONFIG": str(tmp_path)}, NOW)
    assert issued.value == "ya29.canary"
    assert parse_qs(there.asked[0].body.decode())["refresh_token"] == ["r"]


def test_the_machine_is_asked_last(tmp_path: Path) -> None:
    with endpoint(
        {MACHINE: (200, TOKEN), "POST /token": (200, {**TOKEN, "access_token": "f"})}
    ) as (there):
        machine = {"GCE_METADATA_HOST": there.host, "HOME": str(tmp_path)}
        issued = fetch(GoogleAuth(), machine, NOW)
        named = written(tmp_path, account(there)).credentials or ""
        other = fetch(GoogleAuth(), machine | {"GOOGLE_APPLICATION_CREDENTIALS": named}, NOW)
    assert (issued.value, issued.until) == ("ya29.canary", NOW + 3600)
    assert other.value == "f"
    assert there.asked[0].headers["metadata-flavor"] == "Google"
    assert there.asked[0].path.endswith(f"?scopes={GOOGLE_SCOPE}")


REFUSED: Final = {"error": "invalid_grant", "error_description": "canary"}


@pytest.mark.parametrize(
    ("status", "reply", "message"),
    [
        (400, REFUSED, "no token for the credentials: RefreshError"),
        (401, "canary", "no token for the credentials: RefreshError"),
        (200, {"canary": 1}, "no token for the credentials: RefreshError"),
        (200, TOKEN | {"access_token": "a\r\nx: canary"}, "is none"),
        (200, TOKEN | {"access_token": 7}, "no token for the credentials"),
        (200, TOKEN | {"expires_in": "canary"}, "no token for the credentials: ValueError"),
    ],
)
def test_an_endpoint_that_gives_none(status: int, reply: Any, message: str, tmp_path: Path) -> None:
    with (
        endpoint({"POST /token": (status, reply)}) as there,
        pytest.raises(Misconfigured, match=message) as caught,
    ):
        fetch(written(tmp_path, account(there)), {}, NOW)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"private_key": "canary"}, "no token for the credentials"),
        ({"private_key": None}, "no token for the credentials"),
        ({"token_uri": 7}, "no token for the credentials"),
        ({"token_uri": "http://127.0.0.1:9/x"}, "no token for the credentials: TransportError"),
        ({"client_email": None}, "no token for the credentials"),
        ({"type": "canary"}, "of no known type"),
        ({"type": ["canary"]}, "of no known type"),
        ({"type": "impersonated_service_account"}, "of no known type"),
        ({"type": "external_account"}, "no token for the credentials"),
    ],
)
def test_a_file_that_does_not_do(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with endpoint({}) as there, pytest.raises(Misconfigured, match=message) as caught:
        fetch(written(tmp_path, account(there, **changes)), {}, NOW)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "canary", "[]", "null", '{"type": "service_account"', "[" * 9999]
)
def test_a_file_that_is_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="file of Google credentials") as caught:
        fetch(written(tmp_path, text), {}, NOW)
    assert "canary" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((500, "canary"), "answered with status 500"),
        ((404, "canary"), "answered with status 404"),
        ((200, "canary"), "cannot be read"),
        ((200, {"access_token": "t"}), "cannot be read"),
    ],
)
def test_a_machine_that_fails(reply: tuple[int, Any], message: str) -> None:
    with endpoint({MACHINE: reply}) as there, pytest.raises(Misconfigured, match=message) as caught:
        fetch(GoogleAuth(), {"GCE_METADATA_HOST": there.host}, NOW)
    assert "canary" not in str(caught.value)


def test_no_file_and_no_machine() -> None:
    with pytest.raises(Misconfigured, match="no file is named, and the machine has no role"):
        fetch(GoogleAuth(), {"GCE_METADATA_HOST": "127.0.0.1:9"}, NOW)


def test_without_google_auth_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.oauth2.service_account", None)
    with (
        endpoint({}) as there,
        pytest.raises(Misconfigured, match=r"pip install 'google-auth>=2\.45'"),
    ):
        fetch(written(tmp_path, account(there)), {}, NOW)
