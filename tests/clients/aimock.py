"""@copilotkit/aimock as a server of this test run: what it says to whom, and how it is started."""

import asyncio
import json
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients.programs import NODE, NPM

SERVER: Final = NPM / "node_modules/@copilotkit/aimock/dist/cli.js"

LONG: Final = "This answer goes on for some time, so that it comes in several pieces."
THOUGHTS: Final = "Seventeen times twenty-three."
USAGE: Final = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "input_tokens": 11,
    "output_tokens": 7,
    "promptTokenCount": 11,
    "candidatesTokenCount": 7,
}
SCRIPT: Final[list[dict[str, Any]]] = [
    {"match": {"userMessage": "metered"}, "response": {"content": LONG, "usage": USAGE}},
    {"match": {"userMessage": "silent"}, "response": {"content": LONG}},
    {
        "match": {"userMessage": "tool", "hasToolResult": True, "toolResultContains": "391"},
        "response": {"content": "It is 391."},
    },
    {
        "match": {"userMessage": "tool", "hasToolResult": False},
        "response": {"toolCalls": [{"name": "multiply", "arguments": '{"a":17,"b":23}'}]},
    },
    {
        "match": {"userMessage": "thinking"},
        "response": {"content": "It is 391.", "reasoning": THOUGHTS},
    },
    {
        "match": {"userMessage": "busy"},
        "response": {
            "error": {"message": "Slow down", "type": "rate_limit_error"},
            "status": 429,
            "retryAfter": 60,
        },
    },
    {
        "match": {"userMessage": "overloaded"},
        "response": {"error": {"message": "Overloaded", "type": "overloaded_error"}, "status": 529},
    },
    {
        "match": {"userMessage": "leaking"},
        "response": {
            "error": {
                "message": "no key sk-secret-0123456789 at http://10.0.0.7:9/v1",
                "type": "server_error",
            },
            "status": 500,
        },
    },
    {
        # Each piece is written by itself, else the break is before any was sent.
        "match": {"userMessage": "breaking"},
        "response": {"content": LONG},
        "latency": 20,
        "truncateAfterChunks": 4,
    },
]
SCENARIOS: Final = [line["match"]["userMessage"] for line in SCRIPT]


@asynccontextmanager
async def aimock(folder: Path) -> AsyncIterator[str]:
    """The server on a free port, once it answers: its address."""
    script = folder / "script.json"
    script.write_text(json.dumps({"fixtures": SCRIPT}))
    process = await asyncio.create_subprocess_exec(
        *NODE, str(SERVER), "--port", "0", "--fixtures", str(script), "--strict", stdout=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            async for line in process.stdout:
                if found := re.search(rb"listening on (http://127\.0\.0\.1:\d+)", line):
                    yield found[1].decode()
                    break
            else:
                pytest.fail("aimock did not come up")
    finally:
        process.terminate()
        await process.communicate()
