"""Paths of files and folders that the gateway writes."""

from typing import Final

from gateway.config.scalars import invalid_hidden, text

_LONGEST_PATH: Final = 4_000
_LONGEST_NAME: Final = 255
"""Bytes, as most file systems allow; a path may be 4,096, with the names of our files in it."""
PATH_RULE: Final = (
    f"must be a path of at most {_LONGEST_PATH:,} bytes, each name in it of at most {_LONGEST_NAME}"
)


def is_writable_path(path: str) -> bool:
    """Whether a file system could have it, whatever it has."""
    encoded = path.encode("utf-8", "surrogateescape")
    names = encoded.split(b"/")
    return len(encoded) <= _LONGEST_PATH and max(map(len, names)) <= _LONGEST_NAME


def path_text(value: object) -> str:
    path = text(value)
    if not is_writable_path(path):
        raise invalid_hidden(PATH_RULE)
    return path
