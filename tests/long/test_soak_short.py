"""Two minutes of what `make soak` does for half an hour: whether it works, and what grows fast.

How much memory grows in an hour, two minutes do not tell; that it grows with each request, they do.
"""

import sys
from pathlib import Path

import pytest

from benchmarks import growth, servers
from benchmarks.soak import CONNECTIONS, FLOWS, soak

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
    before, after = found.before, found.after
    assert after.tasks <= before.tasks + 3, (before, after)
    assert after.files <= before.files + CONNECTIONS, "some to providers are kept, but not so many"
    memory, *_ = growth.judged(found.samples)
    assert memory.last - memory.first <= MOST_MB, memory
