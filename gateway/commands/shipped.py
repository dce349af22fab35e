"""The files of config/ that come with the gateway."""

import sys
from pathlib import Path
from typing import Final

from gateway.config.faults import ConfigError, Fault

_FOLDERS: Final = (
    Path(__file__).resolve().parents[2],
    Path(),
    Path(sys.prefix, "share/tollgate"),
)
"""Where the folder config/ may be: beside the package, or, when it is installed, right here, else
where the wheel has put it.
"""


def shipped(name: str) -> Path:
    """Raises ConfigError."""
    for folder in _FOLDERS:
        place = folder / "config" / name
        if place.exists():
            return place
    why = "not found; an installed gateway looks for it here: copy config/ from its sources"
    raise ConfigError([Fault(f"config/{name}", None, None, "", why)])


def shipped_catalog() -> list[Path]:
    """Every provider and model that comes ready. Raises ConfigError."""
    return [shipped("providers.yaml"), shipped("models.yaml")]
