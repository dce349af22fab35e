"""What is counted once a disk that was full has room again: it is not left out until a restart."""

from pathlib import Path

import pytest

from gateway.core import events
from gateway.drivers.metrics.prometheus import Metrics
from tests.drivers.counted_beside import BESIDE
from tests.drivers.counted_lives import LIVES
from tests.drivers.full_disk import files_no_larger_than
from tests.drivers.metric_series import CATALOG, TAGGED, TAGS, samples
from tests.drivers.test_metrics import difference

COUNTED = {**LIVES, **BESIDE}


@pytest.mark.parametrize(("event", "changes"), COUNTED.values(), ids=COUNTED)
def test_a_series_that_found_no_room_is_counted_later(
    event: events.Event, changes: dict[str, float], tmp_path: Path
) -> None:
    tags = TAGS if getattr(event, "about", None) is TAGGED else {}
    metrics = Metrics(workers_dir=str(tmp_path), tags=tags, catalog=CATALOG)
    (file,) = tmp_path.iterdir()
    with files_no_larger_than(file.stat().st_size):
        metrics.observe(event)
    before = samples(metrics.render())
    metrics.observe(event)
    after = difference(before, samples(metrics.render()))
    without = {name for name in changes if name not in after and name not in before}
    assert without == set()
    metrics.close()


def test_a_full_disk_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(workers_dir=str(tmp_path))
    (file,) = tmp_path.iterdir()
    with files_no_larger_than(file.stat().st_size):
        for tenant in ("acme", "globex"):
            metrics.observe(events.HoldsRead(tenant, 1))
    assert caplog.messages == ["metrics: new series are not counted: File too large"]
    metrics.close()
