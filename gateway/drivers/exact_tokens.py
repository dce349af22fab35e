"""Exact token counts by OpenAI's tokenizer, where a decision depends on them.

tiktoken downloads its tables at first use. To avoid that, they must be in TIKTOKEN_CACHE_DIR with
the right hash before it is imported; without them there is no exact count, only the estimate.
"""

import asyncio
from collections.abc import Mapping
from hashlib import sha1, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.core import tokens
from gateway.core.chat import ChatRequest

if TYPE_CHECKING:
    from tiktoken import Encoding

ENCODING: Final = "o200k_base"
_TABLE_URL: Final = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
_SHA256: Final = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
TABLE_NAME: Final = sha1(_TABLE_URL.encode(), usedforsecurity=False).hexdigest()
"""The file's name in tiktoken's cache folder."""
_PIECE: Final = 100_000
"""Characters that are read at a time: a million blanks in a row are more than its regex takes, and
that is a panic of Rust's, which is no Exception. A cut makes a token more, at most.
"""


class ExactTokens:
    """Loaded at first use, in a thread: takes half a second."""

    def __init__(self, env: Mapping[str, str]) -> None:
        folder = env.get("TIKTOKEN_CACHE_DIR")
        self._table = Path(folder) / TABLE_NAME if folder else None
        self._loading: asyncio.Task[Encoding | None] | None = None

    async def __call__(self, request: ChatRequest) -> int | None:
        """The tokens of a request's text; None when there are no tables, or no tiktoken."""
        if self._table is None:
            return None
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(_load_encoding, self._table))
        encoding = await asyncio.shield(self._loading)
        if encoding is None:
            return None
        text, messages = tokens.text_of(request)
        return await asyncio.to_thread(_count, encoding, text) + messages * tokens.EACH_MESSAGE


def table_fault(env: Mapping[str, str]) -> str | None:
    """Why there is no exact count; None when the table is there and sound."""
    folder = env.get("TIKTOKEN_CACHE_DIR")
    if not folder:
        return "TIKTOKEN_CACHE_DIR is not set"
    table = Path(folder) / TABLE_NAME
    if not table.is_file():
        return f"{table} is not there"
    return None if _is_intact(table) else f"{table} is not the file that it should be"


def _is_intact(table: Path) -> bool:
    try:
        return sha256(table.read_bytes()).hexdigest() == _SHA256
    except OSError:
        return False


def _count(encoding: "Encoding", text: str) -> int:
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    return sum(len(encoding.encode_ordinary(piece)) for piece in pieces)


def _load_encoding(table: Path) -> "Encoding | None":
    if not _is_intact(table):
        return None
    try:
        import tiktoken  # noqa: PLC0415 - few need it
    except ImportError:
        return None
    return tiktoken.get_encoding(ENCODING)
