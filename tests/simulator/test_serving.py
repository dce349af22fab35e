"""The ways to serve it: a port, a unix socket, another ASGI server, and the command."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway.simulator import Served, Simulator, serve_simulator
from tests.simulator.connect import HEADERS, connect
from tests.simulator.wires import WIRES, request

ASK = {"model": "cheap-right", "messages": [{"role": "user", "content": "2+2"}]}
PATH = "/v1/chat/completions"
COMMAND = "from gateway.commands.simulate import run; run('127.0.0.1', 0)"


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "simulator.sock")
    async with (
        serve_simulator(uds=path) as sim,
        connect(sim.base_url, transport=httpx.AsyncHTTPTransport(uds=path)) as http,
    ):
        assert (await http.post(PATH, json=ASK)).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):  # a unix socket has no reset
            await http.post(PATH, json=ASK | {"model": "cheap-reset"})
        assert [call.cost for call in sim.bill.calls] == [100 + 800]


async def test_as_an_asgi_app() -> None:
    simulator = Simulator()
    transport = httpx.ASGITransport(simulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        assert (await http.post(PATH, json=ASK)).status_code == 200
        with pytest.raises(ConnectionResetError):
            await http.post(PATH, json=ASK | {"model": "cheap-reset"})
    assert (len(simulator.bill.calls), simulator.bill.unbilled) == (1, 1)


async def test_the_bill_over_http(sim: Served, http: httpx.AsyncClient) -> None:
    for model in ("cheap-right", "cheap-right", "smart-refuse", "mid-error500"):
        await http.post(PATH, json=ASK | {"model": model})
    told = (await http.get("/bill")).json()
    assert told["cost"] == sim.bill.cost == 2 * (100 + 800) + (5_000 + 200_000)
    assert (told["unbilled"], told["open"]) == (1, 0)
    assert told["models"] == {
        "cheap-right": {"calls": 2, "prompt_tokens": 2, "completion_tokens": 4, "cost": 1_800},
        "smart-refuse": {"calls": 1, "prompt_tokens": 1, "completion_tokens": 10, "cost": 205_000},
    }
    assert told["calls"][2] == {
        "id": "req_0000000003",
        "format": "openai",
        "model": "smart-refuse",
        "behaviour": "refuse",
        "prompt_tokens": 1,
        "completion_tokens": 10,
        "cost": 205_000,
        "status": 200,
        "whole": True,
    }
    cleared = (await http.delete("/bill")).json()
    assert cleared == {"cost": 0, "open": 0, "unbilled": 0, "models": {}, "calls": []}


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("POST", "/v1/embeddings", "Invalid URL (POST /v1/embeddings)"),
        ("GET", "/v1/chat/completions", "Invalid URL (GET /v1/chat/completions)"),
        ("POST", "/anthropic/v1/complete", "Not found"),
        ("POST", "/gemini/v1/models", "POST /gemini/v1/models is not found."),
        ("GET", "/v1beta/models/cheap-right:generateContent", "is not found."),
        ("POST", "/bedrock/model/cheap-right/count-tokens", "is not recognized by the service."),
        ("POST", "/ollama/api/generate", "path '/ollama/api/generate' not found"),
    ],
)
async def test_other_paths(http: httpx.AsyncClient, method: str, path: str, error: str) -> None:
    got = await http.request(method, path)
    assert got.status_code == 404
    assert error in got.text


@pytest.mark.parametrize("prefixed", [True, False], ids=["prefix", "bare"])
@pytest.mark.parametrize("wire", WIRES)
async def test_both_paths_of_each_format_and_no_key_is_told(
    http: httpx.AsyncClient, wire: str, prefixed: bool
) -> None:
    keys = dict.fromkeys(("authorization", "x-api-key", "x-goog-api-key"), "sk-secret")
    for model, statuses in (("cheap-right", 200), ("cheap-throttle", 429)):
        path, fields = request(wire, model, stream=False)
        if not prefixed:
            path = path.removeprefix(f"/{wire}")
        got = await http.post(path, json=fields, headers=keys)
        assert got.status_code == statuses
        assert "secret" not in got.text + str(got.headers)
    assert "secret" not in (await http.get("/bill")).text


async def test_who_leaves_before_the_request_is_whole_is_not_a_call() -> None:
    async with serve_simulator() as sim, connect(sim.base_url) as http:
        host, port = sim.base_url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n"
        writer.write(head.encode() + b"{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await http.post(PATH, json=ASK)  # answered after the server read the one before
    assert (len(sim.bill.calls), sim.bill.unbilled) == (1, 0)


@asynccontextmanager
async def stand_alone() -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        url = None
        async with asyncio.timeout(20):
            while url is None:
                line = await process.stderr.readline()
                assert line, "the simulator ended before it listened"
                url = re.search(rb"http://[\d.:]+", line)
        yield url[0].decode(), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_command() -> None:
    """On its own it runs on uvloop, where bytes leave at the end of a turn of the loop."""
    async with stand_alone() as (url, _), connect(url) as http:
        assert (await http.post(PATH, json=ASK)).status_code == 200
        with pytest.raises(httpx.ReadError):
            await http.post(PATH, json=ASK | {"model": "cheap-reset"})
        got = b""
        with pytest.raises(httpx.ReadError):  # noqa: PT012
            fields = ASK | {"model": "cheap-resetmid", "stream": True}
            async with http.stream("POST", PATH, json=fields) as response:
                async for chunk in response.aiter_raw():
                    got += chunk
        deltas = [json.loads(line[6:]) for line in got.split(b"\n\n") if line]
        said = "".join(delta["choices"][0]["delta"]["content"] for delta in deltas)
        assert said == "2+2 ="
        bill = (await http.get("/bill", headers=HEADERS)).json()
        assert [call["completion_tokens"] for call in bill["calls"]] == [2, 2]
        assert bill["unbilled"] == 1


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_told_to_stop_it_ends_well(told: signal.Signals) -> None:
    async with stand_alone() as (_, process):
        process.send_signal(told)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
