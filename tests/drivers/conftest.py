"""The HTTP client is tested on both event loops: asyncio's own, and uvloop, which serves.

One authority vouches for the providers of a file.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
import trustme
import uvloop

BOTH: Final = (
    "test_http_pool.py",
    "test_http_answers.py",
    "test_http_faults.py",
    "test_http_tls.py",
    "test_http_tunnel.py",
    "test_dns_cache.py",
    "test_tls_sessions.py",
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name in BOTH:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who vouches for the provider."""
    return trustme.CA()


@pytest.fixture(scope="module")
def cafile(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file that says so."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)
