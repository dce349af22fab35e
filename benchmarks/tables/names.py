"""The tables, in the order they are made."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from benchmarks.stage import Stage
from benchmarks.systems import Group
from benchmarks.table import Readings
from benchmarks.tables.alone import ledger, plan, replay
from benchmarks.tables.chat import chat, simulator, tls
from benchmarks.tables.http2 import http2, http2_cold, http2_one, http2_stream
from benchmarks.tables.instructions import instructions
from benchmarks.tables.ladder import ladder
from benchmarks.tables.memory import memory, streams
from benchmarks.tables.paced import llm, paced
from benchmarks.tables.peers import peers, peers_stream
from benchmarks.tables.scale import catalog, crowd, sizes, tenants, workers
from benchmarks.tables.slow import slow
from benchmarks.tables.start import start
from benchmarks.tables.stream import stream, stream_tls
from benchmarks.tables.syscalls import syscalls

Table = Callable[[Stage, ExitStack], Group | Readings]
"""Raises CannotRun where something for it is missing. The stack ends with the table."""

OURS: Final[dict[str, Table]] = {
    "chat": chat,
    "tls": tls,
    "simulator": simulator,
    "stream": stream,
    "stream-tls": stream_tls,
    "paced": paced,
    "llm": llm,
    "ladder": ladder,
    "ledger": ledger,
    "planning": plan,
    "replay": replay,
    "sizes": sizes,
    "crowd": crowd,
    "streams": streams,
    "tenants": tenants,
    "catalog": catalog,
    "workers": workers,
    "memory": memory,
    "slow": slow,
    "start": start,
    "syscalls": syscalls,
    "instructions": instructions,
}
PEERS: Final[dict[str, Table]] = {
    "peers": peers,
    "peers-stream": peers_stream,
}
"""They need other people's programs: `make bench-peers`."""
BY_NAME: Final[dict[str, Table]] = {
    "http2": http2,
    "http2-one": http2_one,
    "http2-stream": http2_stream,
    "http2-cold": http2_cold,
}
"""Of the client alone, with other people's clients: only where they are asked for."""
ALL: Final = OURS | PEERS | BY_NAME
