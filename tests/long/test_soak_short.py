"""Two minutes of what `make soak` does for half an hour: whether it works, and what grows fast.

How much memory grows in an hour, two minutes do not tell; that it grows with each request, they do.
"""

import sys
from pathlib import Path

import pytest

from benchmarks import growth, servers
from benchmarks.soak import FLOWS, soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark needs Linux")

MINUTES, SHARE = 2, 0.25
MOST_MB = 10
"""An in-memory page or two for each connection is allowed, and what Python keeps for later."""


def test_nothing_grows_under_load_with_faults(tmp_path: Path) -> None:
    if servers.binary("cc") is None:
        pytest.skip("no C compiler (Debian, Ubuntu: apt install gcc)")
    found = soak(tmp_path, MINUTES, SHARE)
    assert (found.wrong, found.left) == (0, 0), found.answers
    assert len(found.answers) == len(FLOWS) + 1
    memory, files, tasks, _ = growth.judged(found.samples)
    assert files.is_flat, files
    assert tasks.is_flat, tasks
    assert memory.last - memory.first <= MOST_MB, memory
