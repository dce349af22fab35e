"""TLS to Redis: its own authority, client certificates, and users. The bundled server is built
without TLS, so each server stands behind a listener that speaks it for them.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from gateway.core.errors import LedgerDown
from gateway.drivers.redis.connection import RedisError, encode
from gateway.drivers.redis.servers import open_redis
from tests.drivers.redis_fleet import Server, pretended, running

WHO: Final = encode("ACL", "WHOAMI")


class Certificates:
    """One authority; a certificate for localhost, and one for a client."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        client = self.authority.issue_cert("gateway@example.org")
        client.private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
        self.ca = f"ssl_ca_certs={quote(str(folder / 'ca.pem'))}"
        self.client = f"ssl_certfile={quote(str(folder / 'client.pem'))}"

    def listening(self, *, ask_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost").configure_cert(context)
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def behind(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port of a listener that passes on what it hears to another port, and back."""
    serving: set[asyncio.Task[None] | None] = set()

    async def flow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(flow(reader, ours), flow(theirs, writer))
        with suppress(OSError):
            await asyncio.gather(writer.wait_closed(), ours.wait_closed())

    async with await asyncio.start_server(serve, "localhost", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*(task for task in serving if task))


async def asked(url: str, timeout_s: float = 5) -> str:
    """Who we are there, or the kind of the failure and what is said of it."""
    redis = open_redis(url, timeout_s=timeout_s)
    try:
        name: bytes = await redis.call(WHO)
    except RedisError as error:
        return f"{error.kind}: {error}"
    finally:
        await redis.aclose()
    return name.decode()


async def test_a_server_is_believed_by_its_authority_and_its_name(
    tmp_path: Path, certificates: Certificates
) -> None:
    server = Server(tmp_path)
    async with running(server), behind(server.port, certificates.listening()) as port:
        named, unnamed = f"rediss://localhost:{port}", f"rediss://127.0.0.1:{port}"
        assert await asked(f"{named}?{certificates.ca}") == "default"
        assert "certificate verify failed" in await asked(named), "an authority nobody knows"
        assert "IP address mismatch" in await asked(f"{unnamed}?{certificates.ca}")
        unchecked = f"{certificates.ca}&ssl_check_hostname=false"
        assert await asked(f"{unnamed}?{unchecked}") == "default"
        assert await asked(f"{unnamed}?ssl_cert_reqs=none") == "default"


async def test_a_client_certificate_and_a_user(tmp_path: Path, certificates: Certificates) -> None:
    server = Server(tmp_path)
    listening = certificates.listening(ask_client=True)
    async with running(server), behind(server.port, listening) as port:
        await server.ask("ACL", "SETUSER", "ann", "on", ">p@w", "~tg:*", "+@all")
        ours = f"localhost:{port}?{certificates.ca}"
        assert (await asked(f"rediss://{ours}")).startswith(("lost", "unreachable"))
        with_ours = f"{ours}&{certificates.client}"
        assert await asked(f"rediss://{with_ours}") == "default"
        assert await asked(f"rediss://ann:p%40w@{with_ours}") == "ann"
        assert (await asked(f"rediss://ann:no@{with_ours}")).startswith("wrongpass")


async def test_a_server_that_speaks_no_tls(tmp_path: Path, certificates: Certificates) -> None:
    server = Server(tmp_path)
    async with running(server):
        said = await asked(f"rediss://127.0.0.1:{server.port}?{certificates.ca}", 0.5)
        assert said.startswith(("timeout", "unreachable", "lost"))


async def test_sentinels_and_clusters_by_tls(tmp_path: Path, certificates: Certificates) -> None:
    server = Server(tmp_path)
    settings = f"{certificates.ca}&ssl_check_hostname=false"

    def answer(command: list[bytes]) -> bytes:
        told = b"$9\r\nlocalhost\r\n"
        if command[0] == b"SENTINEL":
            return b"*2\r\n%b$%d\r\n%d\r\n" % (told, len(str(port)), port)
        return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n%b:%d\r\n" % (told, port)

    async with (
        running(server),
        behind(server.port, certificates.listening()) as port,
        pretended(answer) as place,
        behind(int(place.rpartition(":")[2]), certificates.listening()) as hidden,
    ):
        for url in (
            f"rediss+sentinel://localhost:{hidden}/money?{settings}",
            f"rediss+cluster://localhost:{hidden}?{settings}",
        ):
            assert await asked(url) == "default"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("ssl_ca_certs=/none/ca.pem", "ssl_ca_certs: cannot use /none/ca.pem"),
        ("ssl_certfile=/none/me.pem", "ssl_certfile: cannot use /none/me.pem"),
    ],
)
def test_files_that_are_not_there(settings: str, said: str) -> None:
    with pytest.raises(LedgerDown, match=f"redis.url: {said}"):
        open_redis(f"rediss://localhost?{settings}", timeout_s=1)


def test_a_locked_key_needs_its_password(tmp_path: Path, certificates: Certificates) -> None:
    locked = tmp_path / "locked.pem"
    pem = certificates.authority.issue_cert("a@example.org").private_key_and_cert_chain_pem
    key = serialization.load_pem_private_key(pem.bytes(), None)
    secret = serialization.BestAvailableEncryption(b"open sesame")
    form = serialization.PrivateFormat.PKCS8
    plain = pem.bytes()[pem.bytes().index(b"-----BEGIN CERTIFICATE") :]
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret) + plain)
    url = f"rediss://localhost?{certificates.ca}&ssl_certfile={quote(str(locked))}"
    open_redis(f"{url}&ssl_password=open%20sesame", timeout_s=1)
    for wrong in ("", "&ssl_password=nonsense"):
        with pytest.raises(LedgerDown, match="ssl_certfile: cannot use") as caught:
            open_redis(url + wrong, timeout_s=1)
        assert "nonsense" not in str(caught.value)
