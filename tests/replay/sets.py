"""Small sets of recorded answers, written where a test wants them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from gateway.commands.replay import ReplayOptions, replay
from tests.recordings import need_shared

LLAMA, FLASH = "Meta-Llama-3.1-8B-Instruct", "gemini-1.5-flash"
MINI, SMART = "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06"

Row = dict[str, Any]


def shared(name: str) -> Path:
    return need_shared("replay") / name


def write(
    folder: Path,
    queries: Iterable[Row],
    answers: Mapping[str, Iterable[Row]],
    prices: Mapping[str, tuple[float | None, float | None]] | None = None,
) -> Path:
    """A set; a model's price is 1 USD per million tokens where none is given."""
    folder.mkdir(exist_ok=True)
    models = {}
    for number, (name, rows) in enumerate(answers.items()):
        file = f"answers.{number}.jsonl"
        usd_in, usd_out = (prices or {}).get(name, (1.0, 1.0))
        models[name] = {"file": file, "usd_per_mtok_in": usd_in, "usd_per_mtok_out": usd_out}
        _lines(folder / file, rows)
    _lines(folder / "queries.jsonl", queries)
    (folder / "meta.json").write_text(json.dumps({"set": folder.name, "models": models}))
    return folder


def asked(*ids: str) -> list[Row]:
    return [{"id": each, "prompt": f"What is {each}?"} for each in ids]


def said(texts: Mapping[str, str], right: Mapping[str, str], **more: Any) -> list[Row]:
    """Answers by query, right where they are those of `right`."""
    return [
        {
            "id": each,
            "text": text,
            "correct": text == right[each],
            "tokens_in": 100,
            "tokens_out": 100,
            **more,
        }
        for each, text in texts.items()
    ]


def told(folder: Path, route: str, *pool: str, **more: Any) -> dict[str, Any]:
    """What `tollgate replay --json` prints."""
    return replay(ReplayOptions(folder, route, pool, **more), {}, None)


def bad_pair(folder: Path, queries: int = 1_267, seed: int = 1) -> Path:
    """Two models on a binary task: two of three answers agree, and of those 62 % are right."""
    rng = Random(seed)  # noqa: S311 - a set, not a secret
    rows: dict[str, list[Row]] = {"weak": [], "frail": [], "strong": []}
    for number in range(queries):
        agree, right, other = rng.random() < 0.66, rng.random() < 0.62, rng.random() < 0.1
        weak = right if agree else other
        strong = rng.random() < 0.86
        for name, good in (("weak", weak), ("frail", weak == agree), ("strong", strong)):
            rows[name].append(
                {
                    "id": f"q{number}",
                    "text": "1" if good else "2",
                    "correct": good,
                    "tokens_in": 60,
                    "tokens_out": 2,
                }
            )
    prices = {"weak": (1.0, 2.0), "frail": (0.8, 2.4), "strong": (10.0, 30.0)}
    return write(folder, asked(*(f"q{n}" for n in range(queries))), rows, prices)


def _lines(file: Path, rows: Iterable[Row]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
