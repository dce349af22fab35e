"""Logs a warning when a deprecated model answers."""

import logging
from collections.abc import Mapping
from typing import Final

from gateway.core.catalog import Deprecation, Model
from gateway.core.events import Event, Replied
from gateway.core.observers import Handlers
from gateway.core.ports import Clock

EVERY_S: Final = 60.0
"""At most one warning per model in so many seconds."""

_log: Final = logging.getLogger("gateway")


class Deprecations:
    """`observe` is an observer that warns of the deprecated ones of these models."""

    def __init__(self, models: Mapping[str, Model], clock: Clock) -> None:
        self.deprecated: dict[str, Deprecation] = {
            name: model.card.deprecated
            for name, model in models.items()
            if model.card.deprecated is not None
        }
        self._clock = clock
        self._last_logged: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}
        self.handlers: Handlers = {Replied: self.observe}

    def observe(self, event: Event) -> None:
        if type(event) is not Replied or event.model not in self.deprecated:
            return
        name, now = event.model, self._clock()
        if name in self._last_logged and now - self._last_logged[name] < EVERY_S:
            self._suppressed[name] = self._suppressed.get(name, 0) + 1
            return
        self._last_logged[name] = now
        suppressed = self._suppressed.pop(name, 0)
        deprecation = self.deprecated[name]
        _log.warning(
            "model %s is deprecated since %s: use %s (answered request %s of tenant %s%s)",
            name,
            deprecation.since,
            deprecation.use_instead,
            event.about.request_id,
            event.about.tenant,
            f", and {suppressed} more since the last line" if suppressed else "",
        )
