"""Commands whose stdout cannot be written, as on a full disk, or that have none."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.config.texts import SOUND
from tests.ports import free_port
from tests.service.processes import SERVE, loopback


@pytest.mark.parametrize(
    "words",
    [["--version"], ["catalog"], ["check", "-c", "{}"], ["serve", "-c", "{}", "--port", "0"]],
)
def test_a_full_stdout_is_one_line(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(SOUND)
    command = [sys.executable, "-m", "gateway", *(each.format(file) for each in words)]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, "stdout: No space left on device\n")


def test_a_stdout_that_nobody_reads_is_no_fault_of_the_port(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(SOUND + "redis: {url: memory}\n")
    reader, writer = os.pipe()
    os.close(reader)
    command = [*SERVE, "--config", str(file), "--port", "0"]
    ran = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_a_service_that_is_started_without_streams_serves(
    tmp_path: Path, closed: str
) -> None:
    """Its first socket or file would take the number of one of them: the event loop ended there."""
    file, port = tmp_path / "f.yaml", str(free_port())
    file.write_text(SOUND + "redis: {url: memory}\n")
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", f'exec "$0" "$@" {closed}',
        *SERVE, "--config", str(file), "--port", port,
        stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(50), loopback(f"http://127.0.0.1:{port}") as client:
            live = False
            while not live and process.returncode is None:
                with suppress(httpx.TransportError):
                    live = (await client.get("/livez")).status_code == 200
                await asyncio.sleep(0.01)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    assert (live, process.returncode) == (True, 0)
