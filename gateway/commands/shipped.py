"""The files of config/ that come with the gateway."""

from pathlib import Path
from typing import Final

_FOLDERS: Final = (Path(__file__).resolve().parents[2], Path())
"""Where the folder config/ may be: beside the package, or, when it is installed, right here."""


def shipped(name: str) -> Path:
    places = [folder / "config" / name for folder in _FOLDERS]
    return next((place for place in places if place.exists()), places[0])


def shipped_catalog() -> list[Path]:
    """Every provider and model that comes ready."""
    return [shipped("providers.yaml"), shipped("models.yaml")]
