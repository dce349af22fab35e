"""Packages that only some settings need, by the extra of pyproject.toml that lists them.

They are named themselves, not as `tollgate[...]`: the project that PyPI has by that name is not
this one, and pip would install it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "google": ("google-auth>=2.45",),
    "otel": ("opentelemetry-sdk>=1.38", "opentelemetry-exporter-otlp-proto-http>=1.38"),
    "parquet": ("pyarrow>=20",),
    "postgres": ("asyncpg>=0.30",),
}


def how_to_install(extra: str) -> str:
    """The command."""
    return " ".join(["pip install", *(f"'{package}'" for package in PACKAGES[extra])])
