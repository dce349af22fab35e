"""HTTP clients for these tests. A bare TLS context spares each one the reading of certificates."""

import ssl
from typing import Any, Final

import httpx
import openai

_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
HEADERS: Final = {"anthropic-version": "2023-06-01"}


def connect(base_url: str, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base_url, headers=HEADERS, verify=_TLS, timeout=5, **options)


def openai_sdk(base_url: str) -> openai.AsyncOpenAI:
    """The official SDK, checking every field of every answer. It does not retry."""
    return openai.AsyncOpenAI(
        base_url=f"{base_url}/openai/v1",
        api_key="not-looked-at",
        http_client=openai.DefaultAsyncHttpxClient(verify=_TLS),
        max_retries=0,
        _strict_response_validation=True,
    )
