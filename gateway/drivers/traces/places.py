"""A call's provider, host and upstream model, as attributes of its span."""

from typing import Any
from urllib.parse import urlsplit

from gateway.core.snapshot import Provider, Snapshot
from gateway.drivers.traces.names import NAMES, provider_name

_PORTS = {"http": 80, "https": 443}


class Places:
    """Of one configuration."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._providers = {
            name: _provider_attributes(each) for name, each in snapshot.providers.items()
        }
        self._upstreams = {
            (each.provider, model.name): each.upstream
            for model in snapshot.catalog.models.values()
            for each in model.deployments
        }

    def locate(self, provider: str, model: str) -> tuple[str, dict[str, Any]]:
        """The upstream model's name, and the provider's attributes; our own names for a call of a
        former configuration that is no longer known.
        """
        known = self._providers.get(provider, {NAMES["provider"]: provider})
        return self._upstreams.get((provider, model), model), known


def _provider_attributes(provider: Provider) -> dict[str, Any]:
    url = urlsplit(provider.base_url)
    return {
        NAMES["provider"]: provider_name(provider),
        NAMES["host"]: url.hostname or "",
        NAMES["port"]: url.port or _PORTS.get(url.scheme, 0),
    }
