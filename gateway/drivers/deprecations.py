"""A line in the log when a model answers that is on its way out."""

import logging
from collections.abc import Mapping
from typing import Final

from gateway.core.catalog import Deprecation, Model
from gateway.core.events import Event, Replied
from gateway.core.observers import Hears
from gateway.core.ports import Clock

EVERY_S: Final = 60.0
"""A model is told of once in so many seconds, however often it answers."""

_log: Final = logging.getLogger("gateway")


class Deprecations:
    """`observe` is an observer that warns of these models."""

    def __init__(self, models: Mapping[str, Model], clock: Clock) -> None:
        self.gone: dict[str, Deprecation] = {
            name: model.card.deprecated
            for name, model in models.items()
            if model.card.deprecated is not None
        }
        self._clock = clock
        self._told: dict[str, float] = {}
        self._silent: dict[str, int] = {}
        self.hears: Hears = {Replied: self.observe}

    def observe(self, event: Event) -> None:
        if type(event) is not Replied or event.model not in self.gone:
            return
        name, now = event.model, self._clock()
        if name in self._told and now - self._told[name] < EVERY_S:
            self._silent[name] = self._silent.get(name, 0) + 1
            return
        self._told[name] = now
        since = self._silent.pop(name, 0)
        gone = self.gone[name]
        _log.warning(
            "model %s is deprecated since %s: use %s (answered request %s of tenant %s%s)",
            name,
            gone.since,
            gone.use_instead,
            event.about.request_id,
            event.about.tenant,
            f", and {since} more since the last line" if since else "",
        )
