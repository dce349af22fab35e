"""Other gateways, asked the same in the same run. They forward; ours does all its duties."""

from contextlib import ExitStack
from dataclasses import replace

from benchmarks.peers.programs import PEERS, version
from benchmarks.servers import CannotRun
from benchmarks.stage import PLAIN, Ask, Stage
from benchmarks.systems import Group, System


def peers(stage: Stage, stack: ExitStack) -> Group:
    """The slowest takes a hundred times as long as ours: fewer requests for it."""
    return _table(stage, stack, replace(PLAIN, warm_up=300), "auto", "us/req")


def peers_stream(stage: Stage, stack: ExitStack) -> Group:
    ask = Ask(stream=True, warm_up=160)
    return _table(stage, stack, ask, "auto-unchecked", "us/event")


def _table(stage: Stage, stack: ExitStack, ask: Ask, route: str, unit: str) -> Group:
    systems = [*stage.through_nginx(ask), stage.through(stage.main, "tollgate", route, ask)]
    missing = []
    for name in PEERS:
        try:
            systems.append(_peer(stage, stack, ask, name))
        except CannotRun as error:
            why = " ".join(str(error).split())
            missing.append(f"Without {name}: {why[-160:]}.")
    told = "A stream" if ask.stream else "1 kB"
    title = f"{told}, {ask.connections} connections, other gateways"
    return Group(title, unit, systems, latency=True, note=" ".join(missing))


def _peer(stage: Stage, stack: ExitStack, ask: Ask, name: str) -> System:
    """Once it has answered rightly. How many events its streams have is its own choice."""
    with ExitStack() as own:
        door = PEERS[name](stage.folder, own, stage.provider(ask.provider).port)
        told = f"{name} {version(name)}".strip()
        system = stage.system(told, ask, door)
        if ask.stream:
            done = stage.run(system.load, 1)
            if done.wrong:
                raise CannotRun(f"its stream is not right: {done.last[:100]!r}")
            system = replace(system, events=done.events)
        system.measure(1)
        stack.enter_context(own.pop_all())
    return system
