"""The bodies of answers that come over aiohttp."""

import asyncio
from collections.abc import Mapping
from typing import Never

import aiohttp
from multidict import CIMultiDictProxy

from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.http_coding import decode_body
from gateway.drivers.upstream.http_failures import MAX_ANSWER
from gateway.drivers.upstream.provider_calls import ProviderCall
from gateway.drivers.upstream.provider_flow import AFTER_S


async def next_chunk(response: aiohttp.ClientResponse, deadline: float) -> bytes:
    """Bytes of a stream, as they came; b"" at its end. Raises TimeoutError, which sock_read would
    not always: aiohttp drops it when it cannot parse a chunk, and then waits for ever.
    """
    async with asyncio.timeout_at(deadline):
        return await response.content.readany()


async def read_to_the_end(response: aiohttp.ClientResponse) -> None:
    """Wait briefly for the HTTP end of a finished answer, so that the connection can be reused."""
    async with asyncio.timeout(AFTER_S):
        async for _ in response.content.iter_any():
            pass


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, decoded; of an error's, what came. Raises Broken beyond MAX_ANSWER bytes."""
    if (response.content_length or 0) > MAX_ANSWER:
        raise failures.too_large()
    size = 0
    parts: list[bytes] = []
    try:
        if response.content_length is not None:
            parts.append(await response.read())
        else:
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > MAX_ANSWER:
                    raise failures.too_large()
                parts.append(chunk)
    except aiohttp.ClientError:
        if response.status < 400:
            raise
    return decode_body(encoding(response), b"".join(parts), response.status)


async def raise_refusal(
    call: ProviderCall,
    response: aiohttp.ClientResponse,
    deadline: float,
    auth_headers: Mapping[str, str],
) -> Never:
    """Not a stream: read the whole body, and raise the error in it."""
    async with asyncio.timeout_at(deadline):
        body = await read_body(response)
    call.raise_refusal(response.status, lower_names(response.headers), body, auth_headers)


def encoding(response: aiohttp.ClientResponse) -> bytes | None:
    """The value of its Content-Encoding; of a repeated one, the last."""
    found = lower_names(response.headers).get("content-encoding")
    return None if found is None else found.encode("utf-8", "surrogateescape")


def lower_names(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
