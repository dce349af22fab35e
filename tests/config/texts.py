"""A small sound configuration, and what reading a text gives."""

from collections.abc import Mapping
from typing import Final

from gateway.config.faults import ConfigError
from gateway.config.load import read
from gateway.core.snapshot import Snapshot

NO_ENV: Final[Mapping[str, str]] = {}
SOUND: Final = """\
providers:
  local: {dialect: openai, base_url: "http://localhost:8000/v1", regions: [eu]}
models:
  m1:
    deployments: [{provider: local}]
    context: 1000
    price: free
tenants:
  acme:
    budgets: [{usd: 1, per: day}]
"""
LINES: Final = SOUND.count("\n")
"""What is appended to SOUND begins in the line after."""


def snapshot(text: str, env: Mapping[str, str] = NO_ENV) -> Snapshot:
    return read([("f.yaml", text)], env)


def faults(text: str, env: Mapping[str, str] = NO_ENV) -> list[str]:
    """The lines of the fault report; [] when there is none."""
    try:
        snapshot(text, env)
    except ConfigError as error:
        return str(error).split("\n")
    return []
