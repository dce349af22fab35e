"""Recorded provider traffic, read from ../shared/wire. Never copied into the project."""

import base64
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

SHARED: Final = Path(__file__).resolve().parents[2] / "shared"


def need_shared(folder: str) -> Path:
    """The folder of ../shared, or a skip with the reason; in CI its absence is a failure."""
    path = SHARED / folder
    if not path.is_dir():
        why = f"../shared/{folder} is absent"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why, allow_module_level=True)
    return path


@dataclass(frozen=True)
class Recording:
    """One exchange, and what the vendor's own SDK understood of it (None when it was not asked)."""

    file: str
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes
    oracle: dict[str, Any] | None
    tags: frozenset[str]

    @property
    def streamed(self) -> bool:
        return "stream" in self.tags and self.status == 200


@cache
def recordings(provider: str) -> tuple[Recording, ...]:
    """Every exchange of a provider; header names are in lower case."""
    root = need_shared("wire")
    oracle = {
        line["file"]: line
        for line in map(json.loads, (root / "oracle.jsonl").read_text("utf-8").splitlines())
    }
    index = json.loads((root / "index.json").read_text("utf-8"))
    files = sorted(entry["file"] for entry in index if entry["provider"] == provider)
    return tuple(_read(root, file, oracle.get(file)) for file in files)


def _read(root: Path, file: str, oracle: dict[str, Any] | None) -> Recording:
    exchange = json.loads((root / file).read_text("utf-8"))
    response = exchange["response"]
    if "text" in response:
        body = response["text"].encode()
    elif "base64" in response:
        body = base64.b64decode(response["base64"])
    else:
        body = json.dumps(response.get("body"), ensure_ascii=False).encode()
    headers = {name.lower(): str(value) for name, value in response["headers"].items()}
    return Recording(
        file, exchange["request"], response["status"], headers, body, oracle,
        frozenset(exchange.get("tags") or ()),
    )  # fmt: skip


def cuts(body: bytes, seed: int = 0, ways: int = 20) -> Iterator[list[bytes]]:
    """A body whole, byte by byte, and cut at random places."""
    yield [body]
    yield [body[i : i + 1] for i in range(len(body))]
    rng = random.Random(seed)  # noqa: S311
    for _ in range(ways):
        places = sorted(rng.sample(range(len(body) + 1), min(len(body), rng.randint(1, 12))))
        yield [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
