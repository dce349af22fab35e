"""What hangs on how sockets behave is tested on both event loops: asyncio's own, and uvloop, which
serves. All else runs on asyncio's.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import uvloop

_ASYNCIO: Final = {"asyncio": asyncio.new_event_loop}
_BOTH: Final = {**_ASYNCIO, "uvloop": uvloop.new_event_loop}
_ON_BOTH: Final = frozenset({
    "contracts/test_proxied.py",
    "contracts/test_upstream.py",
    "drivers/test_dns_cache.py",
    "drivers/test_http_answers.py",
    "drivers/test_http_faults.py",
    "drivers/test_http_pool.py",
    "drivers/test_http_tls.py",
    "drivers/test_http_tunnel.py",
    "drivers/test_tls_sessions.py",
    "service/test_hang_ups.py",
    "web/test_hot.py",
    "web/test_stream.py",
})  # fmt: skip


def loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio, which makes a test of each."""
    room_and_file = "/".join(item.path.parts[-2:])
    return _BOTH if room_and_file in _ON_BOTH else _ASYNCIO
