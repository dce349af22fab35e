"""tollgate simulate: the simulated providers on their own."""

from gateway.commands.early import ignore_signals
from gateway.simulator import run_simulator


def run(host: str, port: int) -> None:
    """Serve every format at host and port until interrupted."""
    try:
        run_simulator(host, port)
    finally:
        ignore_signals()
