"""The process's own log, as it comes on stderr: with traces, and without keys and secrets."""

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from gateway.commands.process_log import process_log
from gateway.core.redaction import Redactor
from tests.service.processes import loopback, serving

OURS: Final = "the-key-of-the-provider"
THEIRS: Final = "sk-canary-0123456789abcdef"
CONFIG: Final = f"""
redis: {{url: memory}}
server: {{drain_delay_s: 0, watch: false}}
providers: {{p: {{dialect: openai, base_url: 'http://127.0.0.1:9/v1', api_key: {OURS}}}}}
models:
  m: {{deployments: [{{provider: p}}], context: 1000, max_output: 100, price: free}}
tenants: {{acme: {{anonymous: true, budgets: [{{usd: 1, per: day}}]}}}}
"""


@pytest.mark.parametrize("logger", ["gateway", "uvicorn.error", "asyncio", "of.a.library"])
def test_whoever_writes_it(
    logger: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words, in what is put into them, and in the exception."""
    servers = logging.getLogger("uvicorn")  # other tests' servers gave it a sink of its own
    monkeypatch.setattr(servers, "handlers", [])
    monkeypatch.setattr(servers, "propagate", True)
    with process_log(Redactor([OURS])):
        log = logging.getLogger(logger)
        log.warning("a call with %s was refused: Bearer %s", OURS, THEIRS)
        try:
            raise ValueError(f"what was sent: {OURS} {THEIRS}")
        except ValueError:
            log.exception("a bug")
    told = capsys.readouterr().err
    assert "a call with [redacted] was refused: [redacted]" in told
    assert "Traceback (most recent call last)" in told
    assert "ValueError: what was sent: [redacted] [redacted]" in told


def test_a_thread_that_ends_by_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise ValueError(f"what was sent: {OURS} {THEIRS}")

    with process_log(Redactor([OURS])):
        thread = threading.Thread(target=fails, name="lines")
        thread.start()
        thread.join()
    told = capsys.readouterr().err
    assert "the thread lines met a bug\nTraceback" in told
    assert "ValueError: what was sent: [redacted] [redacted]" in told


def test_it_is_over_when_it_is_over() -> None:
    def now() -> tuple[object, ...]:
        return *logging.getLogger().handlers, threading.excepthook

    before = now()
    with process_log(Redactor()):
        assert len(now()) == len(before) + 1
        assert now()[-1] != before[-1]
    assert now() == before


async def test_a_gateway_writes_it_so(tmp_path: Path) -> None:
    """Its configuration gets a fault in which a key is named, and its own secret is."""
    config, log = tmp_path / "gateway.yaml", tmp_path / "stderr"
    config.write_text(CONFIG)
    async with serving(config, log=log) as (process, url), loopback(url) as client:
        config.write_text(f"{CONFIG}\n{THEIRS}: 1\nx-{OURS}: 1\n")
        process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while "\ngateway_config_reload_failed 1" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.02)
    told = log.read_text()
    assert "the configuration was not reloaded (SIGHUP)" in told
    assert '"..."' in told  # what looks like a key is told by its place alone
    assert "[redacted]" in told
    assert OURS not in told
    assert THEIRS not in told


def test_uvicorn_has_no_sink_of_its_own_beside_it() -> None:
    """In a process of its own: other tests' servers have one."""
    script = (
        "import logging; from gateway.commands.serve import _server; _server(None, 'httptools')\n"
        "for name in ('uvicorn', 'uvicorn.error'):\n"
        "    log = logging.getLogger(name)\n"
        "    print(log.handlers, log.propagate, log.getEffectiveLevel())"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(ran.stdout.splitlines()) == {f"[] True {logging.WARNING}"}
