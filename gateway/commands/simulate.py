"""tollgate simulate: the simulated providers on their own."""

from gateway.simulator import run_simulator


def run(host: str, port: int) -> None:
    """Serve every format at host and port until interrupted."""
    run_simulator(host, port)
