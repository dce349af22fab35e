"""Exact token counts: with the tables where they are, and without."""

import os
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from gateway.core.chat import ChatRequest
from gateway.drivers import exact_tokens
from gateway.drivers.exact_tokens import TABLE_NAME, ExactTokens

ROOT = Path(__file__).parents[2]


def request(text: str) -> ChatRequest:
    messages = [{"role": "user", "content": text}]
    return ChatRequest({"messages": Raw(msgspec.json.encode(messages))}, "m")


@pytest.mark.parametrize("table", [None, b"", b"not the table"])
async def test_without_sound_tables_the_estimate_stands(
    table: bytes | None, tmp_path: Path
) -> None:
    if table is not None:
        (tmp_path / TABLE_NAME).write_bytes(table)
    count = ExactTokens({"TIKTOKEN_CACHE_DIR": str(tmp_path)})
    assert await count(request("hello")) is None
    assert await count(request("hello")) is None


async def test_without_a_folder() -> None:
    assert await ExactTokens({})(request("hello")) is None


async def test_with_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come with other people's clients, which most machines have not."""
    tables = sorted(ROOT.glob(f".venv-clients/lib/*/site-packages/litellm/**/{TABLE_NAME}"))
    if not tables:
        pytest.skip("no table of tiktoken's here: `make clients` brings one")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tables[0].parent))
    count = ExactTokens(os.environ)
    assert await count(request("hello world")) == 2 + 4
    assert await count(request("hello world " * 100)) == pytest.approx(200 + 4, abs=2)
    assert await count(request(" " * 1_200_000)), "what tiktoken panics at is read in pieces"


class Encoding:
    """Words, and as little as tiktoken of them at a time."""

    def encode_ordinary(self, text: str) -> list[str]:
        if len(text) >= 1_000_000:
            raise BaseException("PanicException")  # noqa: TRY002 - as Rust's
        return text.split()


async def test_a_long_text_is_counted_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request with a million blanks was ended without an answer, where it was near a cap."""
    monkeypatch.setattr(exact_tokens, "_load_encoding", lambda _: Encoding())
    count = ExactTokens({"TIKTOKEN_CACHE_DIR": str(tmp_path)})
    assert await count(request("one" + " " * 1_200_000 + "two")) == 2 + 4
    assert await count(request("word " * 100_000)) == pytest.approx(100_000 + 4, abs=5)
