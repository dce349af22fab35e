"""tollgate simulate: the simulated providers on their own."""

from gateway.commands.early import listen_no_more
from gateway.simulator import run_simulator


def run(host: str, port: int) -> None:
    """Serve every format at host and port until interrupted."""
    try:
        run_simulator(host, port)
    finally:
        listen_no_more()
