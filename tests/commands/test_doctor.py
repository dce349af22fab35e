"""`tollgate doctor`: what it finds, what it says to do, and that it shows no secret."""

import asyncio
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from errno import EADDRINUSE
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import structs
from typer.testing import CliRunner

from gateway.__main__ import app
from gateway.commands.doctor import DoctorOptions, Line, _port, examine, variables
from gateway.commands.reach import ProbeResult, listen_fault, reach
from gateway.core.snapshot import Provider, Secret
from tests.commands.answering import answering
from tests.drivers.connect_proxy import connect_proxy
from tests.drivers.scripted import Peer

SECRET: Final = "sk-canary-0123456789"
CONFIG: Final = """
redis: {url: %s}
providers:
  near: {dialect: openai, base_url: "http://127.0.0.1:1/v1", api_key: "${NEAR_KEY}"}
  far: {dialect: openai, base_url: "http://127.0.0.1:1/v1", api_key: "${FAR_KEY}", optional: true}
models:
  m: {deployments: [{provider: near}], context: 1000, price: free}
tenants:
  acme: {}
# api_key: ${OF_A_COMMENT}
"""


def found(
    folder: Path, *, redis: str = "memory", env: dict[str, str] | None = None, **more: Any
) -> list[Line]:
    file = folder / "f.yaml"
    file.write_text(CONFIG % redis)
    asked: dict[str, Any] = {"config": (file,), "host": "127.0.0.1", "port": 0, "probe": False}
    asked |= {"python": (3, 12), "now": datetime(2026, 1, 1, tzinfo=UTC), **more}
    known = {"NEAR_KEY": SECRET} if env is None else env
    return list(
        examine(DoctorOptions(**asked), known, lambda provider: ProbeResult("ok", provider.name))
    )


def test_each_thing_has_a_line(tmp_path: Path) -> None:
    told = [(line.name, line.state, line.found) for line in found(tmp_path, probe=True)]
    assert told == [
        ("python", "ok", "3.12"),
        ("secrets", "ok", "set: NEAR_KEY"),
        ("secrets", "warn", "FAR_KEY is not set"),
        ("config", "ok", f"{tmp_path}/f.yaml: 1 model at 1 provider"),
        ("config", "warn", "far is left out: FAR_KEY not set"),
        ("config", "warn", "no tenant has a key"),
        ("redis", "warn", "memory: every restart begins with full budgets"),
        ("tokenizer", "warn",
         "TIKTOKEN_CACHE_DIR is not set: tokens are estimated, a little high"),
        ("port", "ok", "127.0.0.1:0 is free"),
        ("provider near", "ok", "near"),
    ]  # fmt: skip


def test_what_is_wrong_says_what_to_do(tmp_path: Path) -> None:
    lines = found(tmp_path, redis="redis://127.0.0.1:1", python=(3, 10))
    wrong = {line.name: line.do for line in lines if line.state == "fail"}
    assert wrong == {
        "python": "install Python 3.11 or newer",
        "redis": "start it, or correct redis.url",
    }
    assert all(line.do for line in lines if line.state != "ok")


def test_what_would_hinder_a_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    more = f"memory}}\nusage: {{sink: 'parquet:{tmp_path}'}}\nlog: {{to: {tmp_path}/none/life.log"
    wrong = [line for line in found(tmp_path, redis=more) if line.state == "fail"]
    assert [(line.name, line.do) for line in wrong] == [
        ("usage.sink", "pip install 'pyarrow>=20'"),
        ("log.to", "make its folder, or let the gateway write there"),
    ]


def test_a_sink_that_cannot_be_written_hinders_no_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    more = f"memory}}\nusage: {{sink: 'jsonl:{tmp_path}/file/records'"
    (line,) = (line for line in found(tmp_path, redis=more) if line.name == "usage.sink")
    assert line.state == "warn"
    assert "records wait in the ledger" in line.found
    assert line.do == "make its folder, or let the gateway write there"


def test_a_faulty_configuration(tmp_path: Path) -> None:
    lines = found(tmp_path, env={})
    faults = [line.found for line in lines if line.name == "config"]
    assert faults == [
        f"{tmp_path}/f.yaml:4: providers.near.api_key: environment variable NEAR_KEY is not set"
    ]
    assert "redis" not in {line.name for line in lines}


def test_of_several_faults_the_last_says_what_to_do(tmp_path: Path) -> None:
    told = [line.do for line in found(tmp_path, env={}, redis="nowhere") if line.state == "fail"]
    assert told == ["", "tollgate check lists all faults"]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    assert SECRET not in repr(found(tmp_path, probe=True))


def test_a_variable_with_a_default_is_no_secret() -> None:
    told = [line.found for line in variables(["a: ${A:-x}\nb: $${B}\nc: ${C} # ${D}\n"], {})]
    assert told == ["C is not set"]


# ---- the network


def listing(path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    named = {name.lower(): value for name, value in headers.items()}
    key = named.get("authorization") or named.get("x-api-key")
    known = key in {f"Bearer {SECRET}", SECRET, None}
    return {"/v1/models": 200 if known else 401}.get(path, 404), b""


@pytest.fixture
def url() -> Iterator[str]:
    with answering(listing) as url:
        yield url


# Each: the dialect, the path of base_url, the key, and what is found.
REACHED: Final = [
    ("openai", "/v1", SECRET, "ok", "takes the key"),
    ("openai", "/v1", None, "ok", "answers"),
    ("openai", "/v1", "wrong", "fail", "refuses the key: 401"),
    ("openai", "/elsewhere", SECRET, "ok", "answers 404 to a list of models"),
    ("anthropic", "", SECRET, "ok", "takes the key"),
    ("anthropic", "", "wrong", "fail", "refuses the key: 401"),
    ("gemini", "", "wrong", "ok", "can be reached; the key was not tried"),
]


@pytest.mark.parametrize(("dialect", "path", "key", "state", "text"), REACHED)
def test_reach(url: str, dialect: str, path: str, key: str | None, state: str, text: str) -> None:
    provider = Provider("p", dialect, url + path, None if key is None else Secret(key))
    got = reach(provider)
    assert (got.state, got.text) == (state, f"{url.removeprefix('http://')} {text}")


def test_nobody_there() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        got = reach(Provider("p", "openai", f"http://127.0.0.1:{port}"))
        assert (got.state, got.text) == ("fail", f"127.0.0.1:{port}: Connection refused")


@pytest.mark.parametrize("proxy", [None, Secret("http://a..b:3128")])
def test_a_host_that_is_no_name(proxy: Secret | None) -> None:
    result = reach(Provider("p", "openai", "https://a..b/v1", proxy=proxy))
    assert result.state == "fail"
    assert result.text.startswith("a..b:443")


def test_one_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        got = reach(Provider("p", "openai", f"http://127.0.0.1:{port}"), timeout_s=0.05)
        assert (got.state, got.text) == ("fail", f"127.0.0.1:{port}: no answer in 0.05 s")


def test_one_that_speaks_no_tls(url: str) -> None:
    got = reach(Provider("p", "gemini", url.replace("http:", "https:")))
    assert got.state == "fail"


async def test_through_its_proxy(url: str) -> None:
    """The listing answers; the name of the provider leads nowhere but there."""
    to = int(url.rpartition(":")[2])
    async with connect_proxy(to) as proxy:
        far = Provider("p", "openai", "http://far.invalid/v1", Secret(SECRET))
        got = await asyncio.to_thread(reach, structs.replace(far, proxy=Secret(proxy.url)))
    assert (got.state, got.text) == ("ok", "far.invalid:80 through its proxy takes the key")
    assert proxy.asked[0].startswith(b"CONNECT far.invalid:80 ")


async def test_a_proxy_that_refuses() -> None:
    async def instead(peer: Peer) -> None:
        peer.say(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    async with connect_proxy(instead=instead) as proxy:
        there = Secret(proxy.url.replace("//", f"//user:{SECRET}@"))
        far = Provider("p", "openai", "https://far.invalid/v1", proxy=there)
        got = await asyncio.to_thread(reach, far)
    told = "the proxy wants a user and a password, or others than these: it answered 407"
    assert (got.state, got.text) == ("fail", f"far.invalid:443 through its proxy: {told}")
    assert got.do == "look at proxy, and at what it lets through"
    assert SECRET not in repr(got)


def test_no_proxy_there() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        there = Secret(f"http://127.0.0.1:{held.getsockname()[1]}")
        got = reach(Provider("p", "openai", "https://far.invalid/v1", proxy=there))
    told = "far.invalid:443 through its proxy: Connection refused"
    assert (got.state, got.text) == ("fail", told)


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        taken = listen_fault("127.0.0.1", held.getsockname()[1])
    assert taken is not None
    assert taken.errno == EADDRINUSE


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "Cannot assign requested address"),
        ("no-such-host.invalid", ""),
        ("a..b", ""),
    ],
)
def test_where_nobody_could_listen_is_a_fault(host: str, why: str) -> None:
    """It was said that something listens there, and that it can serve."""
    line = _port("port", host, 0)
    assert line.state == "fail"
    assert line.found.startswith(f"cannot listen on {host}:0: {why}")


# ---- the command


def test_as_json_and_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(CONFIG % "redis://127.0.0.1:1")
    words = ["doctor", "-c", str(file), "--port", "0"]
    failed = CliRunner().invoke(app, [*words, "--json"], env={"NEAR_KEY": SECRET})
    told = json.loads(failed.stdout)
    assert (failed.exit_code, told["ok"]) == (1, False)
    assert {line["state"] for line in told["lines"]} == {"ok", "warn", "fail"}
    file.write_text(CONFIG % "memory")
    well = CliRunner().invoke(app, words, env={"NEAR_KEY": SECRET})
    assert (well.exit_code, well.stdout.splitlines()[-1]) == (0, "It can serve.")


def test_a_server_of_ones_own(tmp_path: Path) -> None:
    """The private one is started, looked at, and stopped."""
    asked = DoctorOptions((_embedded(tmp_path),), "127.0.0.1", 0, False, (3, 12), datetime.now(UTC))
    told = {(line.name, line.state) for line in examine(asked, {"NEAR_KEY": SECRET})}
    assert {("redis", "ok"), ("clock", "ok")} <= told


def _embedded(folder: Path) -> Path:
    file = folder / "f.yaml"
    file.write_text(CONFIG.replace("%s", f"embedded, data_dir: {folder}/data"))
    return file
