"""Names that a client makes up: however many there are, the metrics have no series more."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from tests.ops.scene import CONFIG
from tests.promises import Reached
from tests.service.processes import loopback
from tests.service.running import KEY, running

JUNK: Final = 10_000
AT_ONCE: Final = 20
WORD: Final = "junkjunk"
READ: Final = ("gateway_budget_", "gateway_guard_", "gateway_ledger_", "gateway_usage_")
"""What is told at its own time, whatever is asked."""


def series(page: str) -> set[str]:
    told = {line.rpartition(" ")[0] for line in page.splitlines() if line[0] != "#"}
    return {name for name in told if not name.startswith(READ)}


def denied(page: str) -> float:
    lines = [line for line in page.splitlines() if line.startswith("gateway_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'outcome="denied"' in line)


def junk(number: int) -> bytes:
    """A request with a name of its own in every place that takes one."""
    word = f"{WORD}{number}"
    body: dict[str, Any] = {"model": word, "user": word}
    body["messages"] = [{"role": "user", "content": word}]
    body["gateway"] = {"tags": {word: word, "app": word}}
    text = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {word}\r\nauthorization: Bearer {KEY}\r\n"
        f"user-agent: {word}\r\nx-gateway-region: {word}\r\ncontent-length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


async def ask(url: str, numbers: range) -> set[int]:
    """One after the other, without what a client of HTTP would take for it: the statuses."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    statuses = set()
    for number in numbers:
        writer.write(junk(number))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        statuses.add(int(head.split(None, 2)[1]))
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(None, 1)[0]))
    writer.close()
    await writer.wait_closed()
    return statuses


async def test_junk_makes_no_series(tmp_path: Path, reached: Reached) -> None:
    """Of what requests count; what is read of the ledger comes when it is read."""
    async with (
        running(CONFIG, {"FOLDER": str(tmp_path)}) as service,
        loopback(service.url) as client,
    ):
        await ask(service.url, range(-1, 0))
        before = (await client.get("/metrics")).text
        each = JUNK // AT_ONCE
        parts = [range(start, start + each) for start in range(0, JUNK, each)]
        told = await asyncio.gather(*(ask(service.url, part) for part in parts))
        after = (await client.get("/metrics")).text
    assert set.union(*told) <= {400, 404}
    assert denied(after) - denied(before) == JUNK, "they were not counted"
    more = series(after) - series(before)
    reached("operations", f"series from {JUNK:,} junk names", str(len(more)), "0")
    assert more == set()
    assert WORD not in after
