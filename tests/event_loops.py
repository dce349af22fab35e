"""Which event loop a test runs on: a whole service on uvloop, as in production; what hangs on how
sockets behave on both, uvloop and asyncio's own; all else on asyncio's.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import uvloop

_ASYNCIO: Final = {"asyncio": asyncio.new_event_loop}
_UVLOOP: Final = {"uvloop": uvloop.new_event_loop}
_BOTH: Final = {**_ASYNCIO, **_UVLOOP}
_ON_BOTH: Final = frozenset({
    "contracts/test_proxied.py",
    "contracts/test_upstream.py",
    "drivers/test_dns_cache.py",
    "drivers/test_http_answers.py",
    "drivers/test_http_faults.py",
    "drivers/test_http_pool.py",
    "drivers/test_http_tls.py",
    "drivers/test_http_tunnel.py",
    "drivers/test_redis_stalls.py",
    "drivers/test_tls_sessions.py",
    "service/test_hang_ups.py",
    "web/test_backlog.py",
    "web/test_hot.py",
    "web/test_hot_turn.py",
    "web/test_stream.py",
})  # fmt: skip


def loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio, which makes a test of each."""
    room_and_file = "/".join(item.path.parts[-2:])
    if room_and_file in _ON_BOTH:
        return _BOTH
    return _UVLOOP if item.path.parts[-2] == "service" else _ASYNCIO
