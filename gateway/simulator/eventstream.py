"""Encoder for AWS event streams.

A message is: total length, headers length, checksum of both, headers, payload, checksum of all.
Numbers are big endian, checksums CRC-32. Source: smithy.io, "Amazon Event Stream Specification".
The gateway has its own code for this, so that errors in either show.
"""

import struct
from typing import Final
from zlib import crc32

_STRING: Final = 7


def event(name: str, payload: bytes) -> bytes:
    """One event with a JSON payload."""
    return _message("event", name, payload)


def exception(name: str, payload: bytes) -> bytes:
    """An exception, which ends the stream, with a JSON payload."""
    return _message("exception", name, payload)


def _message(kind: str, name: str, payload: bytes) -> bytes:
    header_values = {
        f":{kind}-type": name,
        ":content-type": "application/json",
        ":message-type": kind,
    }
    headers = b"".join(map(_header, header_values, header_values.values()))
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def _header(name: str, value: str) -> bytes:
    encoded_name, encoded_value = name.encode(), value.encode()
    return (
        struct.pack(
            f">B{len(encoded_name)}sBH",
            len(encoded_name),
            encoded_name,
            _STRING,
            len(encoded_value),
        )
        + encoded_value
    )
