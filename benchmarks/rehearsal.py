"""What a rehearsal costs: CPU time of `tollgate replay`, from its start to the table it prints."""

import json
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.servers import TOLLGATE, CannotRun
from benchmarks.table import Cell

GOAL_S = 60
"""For QUERIES on one core."""
QUERIES = 100_000
FEWER = 20_000
"""Are measured, so that a round is no minute; the start of the command is in it."""

_MODELS = {"small": (0.1, 0.4), "quick": (0.1, 0.3), "middle": (0.6, 2.4), "large": (3.0, 15.0)}
_RIGHT = {"small": 0.7, "quick": 0.75, "middle": 0.85, "large": 0.93}
_PROSE = (
    "the sum of both sides is \\frac{a}{b} so we get x = 12, which [1] holds for all n. "
    "Each of these (see above) adds up; first we add what is left, then take half of it:\n"
)
_WORDS = _PROSE.split(" ")
_LENGTH = 160
"""Words of an answer: 900 characters, as those of models that think aloud have."""


@dataclass
class Replay:
    """A row: a route over a folder of recorded answers."""

    name: str
    folder: Path
    route: str

    def calibrate(self, cpu_s: float) -> int:
        """As many each time, however long it takes: the promise is of a number."""
        del cpu_s
        write(self.folder, FEWER)
        return FEWER

    def measure(self, total: int) -> Cell:
        command = [str(TOLLGATE), "replay", str(self.folder), "--route", self.route, "--json"]
        used, began = _children(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        used, seconds = _children() - used, time.perf_counter() - began
        if done.returncode:
            raise CannotRun(f"{self.name}: {done.stderr}")
        if (queries := json.loads(done.stdout)["queries"]) != total:
            raise CannotRun(f"{self.name}: {queries} queries instead of {total}")
        return Cell(total, total, used, 0.0, seconds)


def rows(folder: Path) -> Sequence[Replay]:
    checked, ruled = folder / "checked.yaml", folder / "ruled.yaml"
    checked.write_text(
        "tiers: [cheap, mid, smart]\nstrategy: {vote: {join: true}}\n"
        "checks: [not_refused, complete, json_if_asked, tools_valid]\n"
    )
    ruled.write_text(
        "tiers: {cheap: {models: [small, quick]}, smart: {models: [large]}}\n"
        "routes: {auto: {tiers: [cheap, smart], strategy: vote, rules: [\n"
        "  {name: code, when: {has: [code]}, tiers: [smart], strategy: cascade},\n"
        "  {name: asian, when: {script: [han]}, tiers: [smart], strategy: cascade}]}}\n"
    )
    answers = folder / "answers"
    return (
        Replay("vote of three tiers, checked", answers, str(checked)),
        Replay("vote, rules", answers, str(ruled)),
        Replay("cascade", answers, "cascade"),
    )


def write(folder: Path, queries: int) -> None:
    """A set: a third of the answers prose, a third fenced JSON, a third short."""
    if folder.exists():
        return
    folder.mkdir()
    rng = Random(1)  # noqa: S311 - a set, not a secret
    _lines(folder / "queries.jsonl", _asked(rng, queries))
    models = {}
    for name, (usd_in, usd_out) in _MODELS.items():
        file = f"answers.{name}.jsonl"
        models[name] = {"file": file, "usd_per_mtok_in": usd_in, "usd_per_mtok_out": usd_out}
        _lines(folder / file, _answers(rng, name, queries))
    (folder / "meta.json").write_text(json.dumps({"set": "bench", "models": models}))


def _asked(rng: Random, queries: int) -> Iterator[dict[str, object]]:
    for number in range(queries):
        yield {"id": f"q{number}", "prompt": _prose(rng, 40)}


def _answers(rng: Random, model: str, queries: int) -> Iterator[dict[str, object]]:
    for number in range(queries):
        right = rng.random() < _RIGHT[model]
        answer = str(number if right else number + rng.randrange(1, 4))
        prose = _prose(rng, _LENGTH) if number % 3 else ""
        texts = (answer, f"{prose}\nThe answer is {answer}.", _fenced(prose, answer))
        yield {
            "id": f"q{number}",
            "text": texts[number % 3],
            "correct": right,
            "tokens_in": 60,
            "tokens_out": len(texts[number % 3]) // 4 + 1,
            "latency_s": 1.0 + rng.random(),
        }


def _prose(rng: Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words))


def _fenced(prose: str, answer: str) -> str:
    """With line breaks as they are, and LaTeX that is not escaped."""
    return f'```json\n{{\n "reasoning": "{prose}",\n "answer": "{answer}"\n}}\n```'


def _lines(file: Path, rows: Iterator[dict[str, object]]) -> None:
    with file.open("w") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def _children() -> float:
    """Seconds of CPU that finished processes of ours have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
