"""What a request costs when the gateway is never idle: plain, over TLS, and of the simulator."""

from contextlib import ExitStack

from benchmarks.stage import CONNECTIONS, PLAIN, Ask, Stage
from benchmarks.systems import Group


def chat(stage: Stage, stack: ExitStack) -> Group:
    """The indented rows leave something out."""
    main, memory = stage.main, stage.memory
    systems = [
        *stage.through_nginx(PLAIN),
        stage.direct(PLAIN),
        stage.through(main, "tollgate", "auto"),
        stage.through(main, "  no checks", "auto-unchecked"),
        stage.through(memory, "  ledger in memory", "auto"),
        stage.through(memory, "  ledger in memory, no checks", "auto-unchecked"),
    ]
    title = f"1 kB, {CONNECTIONS} connections, an upstream that is never the bottleneck"
    return Group(title, "us/req", systems)


def tls(stage: Stage, stack: ExitStack) -> Group:
    ask = Ask("secure")
    systems = [*stage.through_nginx(ask), stage.through(stage.main, "tollgate", "auto-secure", ask)]
    return Group("1 kB, an upstream behind TLS 1.3", "us/req", systems)


def simulator(stage: Stage, stack: ExitStack) -> Group:
    ask = Ask("simulator")
    systems = [
        *stage.through_nginx(ask),
        stage.through(stage.main, "tollgate", "auto-simulated", ask),
    ]
    title = f"1 kB, {CONNECTIONS} connections, `tollgate simulate` as the upstream"
    return Group(title, "us/req", systems)
