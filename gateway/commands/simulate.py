"""tollgate simulate: the simulated providers on their own."""

from gateway.simulator import run_simulator


def run(host: str, port: int) -> None:
    """Serve OpenAI's and Anthropic's formats at host and port until interrupted."""
    run_simulator(host, port)
