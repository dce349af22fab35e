"""Metrics, written from events and from nothing else.

Seven events of each request come here. Which cells most of them count in is found once; see
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
from gateway.core.observers import Hears, observer
from gateway.core.ports import Clock, Observer
from gateway.core.snapshot import Snapshot
from gateway.core.tags import Known
from gateway.drivers.metrics.budgets import budget_writers
from gateway.drivers.metrics.calls import Calls
from gateway.drivers.metrics.cells import Cells, OwnCells, SharedCells
from gateway.drivers.metrics.families import Families
from gateway.drivers.metrics.foreseen import foresee, forget
from gateway.drivers.metrics.foreseen_routes import foresee_routes
from gateway.drivers.metrics.guard import guard_writers
from gateway.drivers.metrics.ledger import ledger_writers
from gateway.drivers.metrics.lives import Lives
from gateway.drivers.metrics.process import ProcessMetrics
from gateway.drivers.metrics.process_events import process_event_writers
from gateway.drivers.metrics.saved import EMPTY, Saved
from gateway.drivers.metrics.text import Page

_NO_TAGS: Final[Known] = {}


class Metrics:
    """`hears` counts each event it names, `observe` is the same as an observer of all; `render` is
    what a scrape gets.

    Workers that are given the same folder answer for each other. All agree on the clock.
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
        self._of = Families(self._cells, clock)
        self._saved = Saved(self._of, wall)
        self._lives = Lives(self._of, self._saved)
        self._calls = Calls(self._of, self._saved)
        self._go_by(tenants, deployments, tags, catalog)
        running = self._of["gateway_build_info"][__version__, platform.python_version()]
        self._cells.values[running] = 1.0
        self.hears: Hears = {
            **self._lives.hears,
            **self._calls.hears,
            **budget_writers(self._of, wall),
            **ledger_writers(self._of),
            **process_event_writers(self._of),
            **guard_writers(self._of),
        }
        self.observe: Observer = observer(self.hears)

    def render(self) -> bytes:
        """Prometheus text format 0.0.4."""
        shelves = self._cells.shelves()
        processes = self._processes.text([shelf.pid for shelf in shelves])
        return (self._page.text(shelves) + processes).encode()

    def close(self) -> None:
        self._cells.close()

    def reconfigure(self, new: Snapshot) -> None:
        """Go by this configuration: what is new is there at 0."""
        models = new.catalog.models.values()
        deployments = [each.name for model in models for each in model.deployments]
        self._go_by(new.tenants.values(), deployments, new.tags, new.catalog)

    def _go_by(
        self,
        tenants: Iterable[Tenant],
        deployments: Iterable[str],
        tags: Known,
        catalog: Catalog,
    ) -> None:
        there = [*tenants]
        self._saved.reconfigure(catalog)
        self._lives.reconfigure()
        self._calls.reconfigure(tags)
        foresee(self._of, there, deployments)
        foresee_routes(self._of, there, catalog, self._saved.tops)
        forget(self._of, there)
