"""Everything that runs, and how a row is made of it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from benchmarks import servers
from benchmarks.gateways import KEY, Gateway, Setting, open_gateway
from benchmarks.load import Done, Load, run_c, run_python
from benchmarks.servers import OTHER_CPU, SUT_CPU, CannotRun, pinned, started
from benchmarks.systems import BODY_BYTES, NEEDLE, Door, System, request_body
from benchmarks.upstreams import Provider, open_providers

CONNECTIONS = 32


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, CPU seconds of a cell, seconds of one at a fixed rate, and the
    largest size of what is scaled.
    """

    rounds: int = 5
    cpu_s: float = 1.0
    seconds: float = 20.0
    most: int = 100_000

    def sizes(self, *wanted: int) -> list[int]:
        return [size for size in wanted if size <= self.most] or [min(wanted)]


@dataclass(frozen=True)
class Ask:
    """What a row is asked: the provider that is behind it, and how."""

    provider: str = "fast"
    stream: bool = False
    size: int = BODY_BYTES
    connections: int = CONNECTIONS
    rate: float = 0.0
    total: int = 0
    warm_up: int = 2_000


PLAIN = Ask()


class Stage:
    """`notes` says what is missing. What a table needs for itself goes on its own stack."""

    def __init__(self, folder: Path, stack: ExitStack, effort: Effort) -> None:
        self.folder = folder
        self.effort = effort
        self.notes: list[str] = []
        self._stack = stack
        self.loader = servers.compiled("load", folder)
        if self.loader is None:
            self.notes.append("No C compiler: a slow load, and the simulator as the only upstream.")
        self.providers = open_providers(folder, stack)
        self.nginx = self._start_nginx()

    @cached_property
    def main(self) -> Gateway:
        """One worker, the ledger in the embedded server."""
        return self.gateway(self._stack, Setting("embedded"))

    @cached_property
    def memory(self) -> Gateway:
        """One worker, the ledger in its own memory."""
        return self.gateway(self._stack, Setting("memory", ledger="memory"))

    def gateway(self, stack: ExitStack, setting: Setting) -> Gateway:
        return stack.enter_context(open_gateway(self.folder, self.providers, setting))

    def provider(self, name: str) -> Provider:
        if name not in self.providers:
            needs = "nginx and a C compiler" if name.startswith("secure") else "a C compiler"
            raise CannotRun(f"the upstream {name} needs {needs}")
        return self.providers[name]

    def run(self, load: Load, total: int) -> Done:
        if self.loader is not None:
            return run_c(self.loader, load, total, pinned(OTHER_CPU), self.folder)
        if load.rate:
            raise CannotRun("a fixed rate needs a C compiler")
        return run_python(load, total)

    def through_nginx(self, ask: Ask, name: str = "nginx") -> list[System]:
        """A row, or none where there is no nginx."""
        provider = self.provider(ask.provider)
        if self.nginx is None:
            return []
        port, pid = self.nginx
        prefix = f"/flowing/{provider.name}" if ask.stream else f"/{provider.name}"
        model = "cheap-right" if provider.name == "simulator" else "bench"
        return [self.system(name, ask, Door(port, pid, model, f"{prefix}/v1/chat/completions"))]

    def direct(self, ask: Ask) -> System:
        """The load on the upstream, and nothing between: what is told is the upstream's own."""
        provider = self.provider(ask.provider)
        return self.system("upstream, direct", ask, Door(provider.port, provider.pid))

    def through(
        self,
        gateway: Gateway,
        name: str,
        model: str,
        ask: Ask = PLAIN,
        *,
        keys: Sequence[str] = (KEY,),
        calls_each: int = 1,
        beside: str = "nginx",
    ) -> System:
        def run(load: Load, total: int) -> Done:
            gateway.sent += total
            return self.run(load, total)

        system = self.system(name, ask, Door(gateway.port, gateway.pid, model))
        return replace(
            system,
            load=replace(system.load, keys=keys),
            run=run,
            ledger_pid=gateway.ledger_pid,
            calls_each=calls_each,
            beside=beside,
        )

    def system(self, name: str, ask: Ask, door: Door) -> System:
        """Any server that speaks chat completions, with the provider of `ask` behind it."""
        provider = self.provider(ask.provider)
        body = request_body(door.model, stream=ask.stream, size=ask.size)
        keys, path = (KEY,), door.path
        load = Load(door.port, body, keys, ask.connections, NEEDLE, path, ask.rate, door.headers)
        return System(
            name,
            load,
            self.run,
            door.pid,
            provider.count,
            events=provider.events if ask.stream else 0,
            total=ask.total or int(ask.rate * self.effort.seconds),
            warm_up=ask.warm_up,
        )

    def _start_nginx(self) -> tuple[int, int] | None:
        program = servers.binary("nginx")
        if program is None:
            self.notes.append("No nginx (Debian: apt install nginx): our own figures, no ratio.")
            return None
        port = servers.free_port()
        names = ("fast", "chorus", "slow", "crowd", "secure", "secure_chorus", "simulator")
        ports = {name: self.providers[name].port for name in names if name in self.providers}
        given: dict[str, object] = {**dict.fromkeys(names, 1), **ports}
        conf = self.folder / "nginx.conf"
        if "secure" not in ports:
            (self.folder / "authority.pem").touch()
        conf.write_text(servers.filled(conf.name, folder=self.folder, port=port, **given))
        command = [*pinned(SUT_CPU), program, "-c", str(conf), "-p", str(self.folder)]
        log = self.folder / "nginx.log"
        return port, self._stack.enter_context(started(command, port, log))
