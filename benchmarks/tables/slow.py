"""Memory of streams whose clients read slowly: what nobody reads yet is to wait at the provider."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from benchmarks.gateways import KEY, Gateway, Setting
from benchmarks.load import Load
from benchmarks.servers import free_port
from benchmarks.slow import EVENTS, SIP_BYTES, SIP_S, WHOLE_KB, Held, Source, slow_readers
from benchmarks.stage import Stage
from benchmarks.systems import NEEDLE, request_body
from benchmarks.table import Reading, Readings
from benchmarks.tables.memory import resident_kb

READERS = 1_000
ROUNDS = 1
"""One and the next hardly differ, and each takes long."""
FEW = 20
"""They come first: what a gateway holds for its first streams is no slow reader's."""


def slow(stage: Stage, stack: ExitStack) -> Readings:
    readers, port = min(READERS, stage.effort.most), free_port()
    file = stage.folder / "tall.yaml"
    write(file, port)
    each: list[float] = []
    taken: list[float] = []
    for turn in range(min(ROUNDS, stage.effort.rounds)):
        with ExitStack() as own:
            gateway = stage.gateway(own, Setting(f"slow-{turn}", extra=(file,)))
            before, held = asyncio.run(_held(gateway, port, readers))
        each.append((held.most_kb - before) / readers)
        taken.append(held.taken_kb)
    rows = {
        f"a slow reader, of {readers:,}": Reading("kB", each),
        f"taken from the provider, of {WHOLE_KB:,} kB": Reading("kB", taken),
    }
    note = (
        f"Streams of {EVENTS} events; each client reads {SIP_BYTES:,} bytes every {SIP_S} s, and "
        "then the rest. What was taken for it is for the greater part in the kernel's buffers."
    )
    return Readings("Slow readers: memory (RSS) of each, all of them open", rows, note)


async def _held(gateway: Gateway, port: int, readers: int) -> tuple[int, Held]:
    """Its memory before, kB, and with all of them."""
    load = Load(gateway.port, request_body("auto-tall", stream=True), (KEY,), readers, NEEDLE)
    source, request = Source(), load.request(KEY)
    server = await asyncio.start_server(source.serve, "127.0.0.1", port, backlog=4096)
    async with server:
        await slow_readers(gateway.port, request, FEW, source, lambda: 0)
        before = resident_kb(gateway)
        held = await slow_readers(
            gateway.port, request, readers, source, lambda: resident_kb(gateway)
        )
        gateway.sent += FEW + readers
        await source.end()
    return before, held


def write(file: Path, port: int) -> None:
    """A route to the provider of long streams."""
    file.write_text(f"""
providers:
  tall: {{dialect: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: bench-not-a-secret}}
models:
  long:
    deployments: [{{provider: tall}}]
    context: 128000
    max_output: 2048
    price: {{input: 1, output: 4}}
tiers: {{tall: {{models: [long]}}}}
routes: {{auto-tall: {{tiers: [tall]}}}}
""")
