"""What a start imports. Half of what it takes is that."""

import subprocess
import sys
from pathlib import Path
from typing import Final

FEW_NEED: Final = (
    "aiohttp", "asyncpg", "gateway.simulator", "genai_prices", "httpx", "prometheus_client",
    "pyarrow", "pydantic.v1", "redis", "sqlglot", "tiktoken",
)  # fmt: skip
YAML: Final = """
redis: {url: memory}
providers: {p: {dialect: openai, base_url: "http://127.0.0.1:1/v1"}}
models: {m: {deployments: [{provider: p}], context: 8000, price: free}}
tiers: {all: {models: [m]}}
routes: {auto: {tiers: [all]}}
tenants: {acme: {}}
"""
SCRIPT: Final = """
import asyncio, sys
from pathlib import Path
from gateway.commands import serve, serve_app
async def main():
    source = serve.source_of([Path(sys.argv[1])], {}, lambda: None)
    async with serve.open_gateway(source.began.snapshot):
        print([name for name in sys.argv[2:] if name in sys.modules])
asyncio.run(main())
"""


def test_a_gateway_that_is_there_has_imported_nothing_that_few_need(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(YAML)
    command = [sys.executable, "-c", SCRIPT, str(file), *FEW_NEED]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
