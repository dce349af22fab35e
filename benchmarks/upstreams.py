"""What stands in for providers: processes that answer at once, late, slowly, and over TLS."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import trustme

from benchmarks import servers
from benchmarks.servers import OTHER_CPU, TOLLGATE, pinned, started

EVENTS, PACE_MS = 50, 5
CROWD_EVENTS, CROWD_PACE_MS = 25, 1000
CALM_PACE_MS = 25
"""So far apart that two events come together only where somebody stood still meanwhile."""
DELAY_S = 2


@dataclass(frozen=True)
class Provider:
    """`count` tells how many calls it has had since it was last asked."""

    name: str
    port: int
    pid: int
    events: int
    count: Callable[[], int]


def since(count: Callable[[], int]) -> Callable[[], int]:
    """From a count that grows to what it grew by since the last time."""
    last = 0

    def told() -> int:
        nonlocal last
        before, last = last, count()
        return last - before

    return told


def open_providers(folder: Path, stack: ExitStack) -> dict[str, Provider]:
    """By name. `simulator` is always there, `secure` where there is nginx to end TLS, the others
    where there is a C compiler.
    """
    found = {"simulator": _simulator(folder, stack)}
    program = servers.compiled("upstream", folder)
    if program is None:
        return found
    for name, events, pace_ms, delay_s, together in (
        ("fast", EVENTS, PACE_MS, 0, 0),
        ("chorus", EVENTS, PACE_MS, 0, 1),
        ("slow", EVENTS, PACE_MS, DELAY_S, 0),
        ("crowd", CROWD_EVENTS, CROWD_PACE_MS, 0, 0),
        ("calm", EVENTS, CALM_PACE_MS, 0, 0),
    ):
        port = servers.free_port()
        numbers = (port, events, pace_ms * 1000, delay_s * 1_000_000, together)
        command = [*pinned(OTHER_CPU), str(program), *map(str, numbers)]
        pid = stack.enter_context(started(command, port, folder / f"{name}.log"))
        count = since(lambda port=port: servers.upstream_count(port))  # type: ignore[misc]
        found[name] = Provider(name, port, pid, events, count)
    if (nginx := servers.binary("nginx")) is not None:
        found |= _secure(nginx, folder, stack, found)
    return found


def _simulator(folder: Path, stack: ExitStack) -> Provider:
    port = servers.free_port()
    command = [*pinned(OTHER_CPU), str(TOLLGATE), "simulate", "--port", str(port)]
    pid = stack.enter_context(started(command, port, folder / "simulator.log"))
    return Provider("simulator", port, pid, 0, lambda: servers.simulator_count(port))


def _secure(
    nginx: str, folder: Path, stack: ExitStack, plain: Mapping[str, Provider]
) -> dict[str, Provider]:
    """Two of them behind TLS."""
    """The fast one behind TLS, and the files that nginx, the gateway and it need for that."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(b"".join(p.bytes() for p in issued.cert_chain_pems))
    behind = {"secure": plain["fast"], "secure_chorus": plain["chorus"]}
    ports = {name: servers.free_port() for name in behind}
    conf = folder / "nginx-tls.conf"
    ends = {"fast": plain["fast"].port, "chorus": plain["chorus"].port}
    conf.write_text(servers.filled(conf.name, folder=folder, **ports, **ends))
    command = [*pinned(OTHER_CPU), nginx, "-c", str(conf), "-p", str(folder)]
    pid = stack.enter_context(started(command, ports["secure"], folder / "secure.log"))
    return {
        name: Provider(name, ports[name], pid, each.events, each.count)
        for name, each in behind.items()
    }
