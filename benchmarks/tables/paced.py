"""Requests that come at random times, whether or not those before are answered (an open loop).

A busy machine has warm caches and answers several requests in one turn; one with little to do has
neither, and nginx pays for that, too.
"""

from contextlib import ExitStack

from benchmarks.stage import Ask, Stage
from benchmarks.systems import Group
from benchmarks.upstreams import DELAY_S

RATE = 200
LLM_RATE = 50
ROUNDS = 3
"""Enough, as each takes long: what is told is of some thousand requests."""


def paced(stage: Stage, stack: ExitStack) -> Group:
    title = f"1 kB, {RATE} requests a second at random times"
    return _paced(stage, "fast", "auto", RATE, title)


def llm(stage: Stage, stack: ExitStack) -> Group:
    flight = LLM_RATE * DELAY_S
    title = f"The shape of LLMs: an answer after {DELAY_S} s, {LLM_RATE} requests a second, "
    return _paced(stage, "slow", "auto-slow", LLM_RATE, f"{title}about {flight} in flight")


def _paced(stage: Stage, provider: str, route: str, rate: int, title: str) -> Group:
    ask = Ask(provider, rate=rate, connections=512, warm_up=rate * 2)
    systems = [
        *stage.through_nginx(ask),
        stage.direct(ask),
        stage.through(stage.main, "tollgate", route, ask),
    ]
    note = "Latency counts from when a request was due (no coordinated omission)."
    return Group(title, "us/req", systems, latency=True, note=note, rounds=ROUNDS)
