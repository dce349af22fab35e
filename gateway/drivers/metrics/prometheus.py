"""Counts metrics from events only, and renders them.

Each request has about seven events. Most of their cells are looked up once and cached; see
lives.py, calls.py and ledger.py.
"""

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gateway import __version__
from gateway.core.catalog import Catalog, Tenant
from gateway.core.observers import Handlers, observer
from gateway.core.ports import Clock, Observer
from gateway.core.snapshot import Snapshot
from gateway.core.tags import Known
from gateway.drivers.metrics.budgets import budget_writers
from gateway.drivers.metrics.calls import Calls
from gateway.drivers.metrics.cells import Cells, OwnCells, SharedCells
from gateway.drivers.metrics.families import Families
from gateway.drivers.metrics.foreseen import (
    clear_removed,
    initialize_series,
    initialize_usage_series,
)
from gateway.drivers.metrics.foreseen_routes import clear_removed_guards, initialize_route_series
from gateway.drivers.metrics.guard import guard_writers
from gateway.drivers.metrics.ledger import ledger_writers
from gateway.drivers.metrics.lives import Lives
from gateway.drivers.metrics.process import ProcessMetrics
from gateway.drivers.metrics.process_events import process_event_writers
from gateway.drivers.metrics.saved import EMPTY, Saved
from gateway.drivers.metrics.text import Page

_NO_TAGS: Final[Known] = {}


class Metrics:
    """`handlers` count events by type, `observe` is an observer of all events, `render` gives the
    text of a scrape.

    Workers with the same folder render the sum of all. They must use the same clock.
    """

    def __init__(
        self,
        tenants: Iterable[Tenant] = (),
        deployments: Iterable[str] = (),
        workers_dir: str | None = None,
        clock: Clock = time.monotonic,
        tags: Known = _NO_TAGS,
        catalog: Catalog = EMPTY,
        wall: Clock = time.time,  # noqa: TID251 - as the default only
    ) -> None:
        """Raises OSError when the folder cannot be written to."""
        self._cells: Cells = SharedCells(Path(workers_dir)) if workers_dir else OwnCells()
        self._page = Page()
        self._processes = ProcessMetrics(os.getppid() if workers_dir else None)
        self._families = Families(self._cells, clock)
        self._saved = Saved(self._families, wall)
        self._lives = Lives(self._families, self._saved)
        self._calls = Calls(self._families, self._saved)
        self._configure(tenants, deployments, tags, catalog)
        running = self._families["gateway_build_info"][__version__, platform.python_version()]
        self._cells.values[running] = 1.0
        self.handlers: Handlers = {
            **self._lives.handlers,
            **self._calls.handlers,
            **budget_writers(self._families, wall),
            **ledger_writers(self._families),
            **process_event_writers(self._families),
            **guard_writers(self._families),
        }
        self.observe: Observer = observer(self.handlers)

    def render(self) -> bytes:
        """Prometheus text format 0.0.4."""
        workers = self._cells.workers()
        processes = self._processes.text([worker.pid for worker in workers])
        return (self._page.text(workers) + processes).encode()

    def close(self) -> None:
        self._cells.close()

    def reconfigure(self, new: Snapshot) -> None:
        """Use this configuration: new series are initialized at 0."""
        models = new.catalog.models.values()
        deployments = [each.name for model in models for each in model.deployments]
        self._configure(new.tenants.values(), deployments, new.tags, new.catalog)
        if new.usage.sink is not None:
            initialize_usage_series(self._families, new.tenants.values())

    def _configure(
        self,
        tenants: Iterable[Tenant],
        deployments: Iterable[str],
        tags: Known,
        catalog: Catalog,
    ) -> None:
        all_tenants = [*tenants]
        self._saved.reconfigure(catalog)
        self._lives.reconfigure()
        self._calls.reconfigure(tags)
        initialize_series(self._families, all_tenants, deployments)
        initialize_route_series(self._families, all_tenants, catalog, self._saved.tops)
        clear_removed(self._families, all_tenants)
        clear_removed_guards(self._families, catalog)
