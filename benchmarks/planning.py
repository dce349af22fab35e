"""What it costs to plan a request: the functions that handle.py calls, in this process."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import yaml

from benchmarks.servers import CannotRun
from benchmarks.table import Cell
from gateway.config.load import read
from gateway.core.catalog import Tenant
from gateway.core.chat import ChatRequest
from gateway.core.features import read_features
from gateway.core.ladder import Ladder, ladders
from gateway.core.plan import Limits, make_plan
from gateway.core.traits import climbed
from gateway.web.parse import read_request

GOAL_US = 25
MODELS = 60
TIERS = ("cheap", "mid", "smart")
RULES = (
    {"name": "long", "when": {"prompt_tokens": {"above": 50_000}}, "tiers": ["smart"]},
    {"name": "agents", "when": {"has": ["tools"]}, "tiers": ["mid", "smart"]},
    {"name": "batch", "when": {"tags": {"work": ["batch"]}}, "tiers": ["cheap"]},
    {"name": "budget", "when": {"max_cost_usd": 0.001}, "tiers": ["cheap", "mid"]},
    {"name": "asian", "when": {"script": ["han", "kana", "hangul"]}, "tiers": ["mid"]},
)
"""None of them holds, so that all are looked at."""
BATCH = 2_000
DEPTH = 64


@dataclass
class Planning:
    """A row. `body` is asked of a ladder; as many rungs must come out of it as are told."""

    name: str
    ladder: Ladder
    body: bytes
    rungs: int = len(TIERS)

    def calibrate(self, cpu_s: float) -> int:
        """How many plans take about so much CPU time."""
        self.measure(BATCH)
        cell = self.measure(BATCH)
        return max(BATCH, int(cpu_s / cell.cpu_s * BATCH))

    def measure(self, total: int) -> Cell:
        limits, rng, tags = Limits(Tenant("bench")), Random(1), {"team": "red"}  # noqa: S311
        requests = [read_request(self.body, {}, DEPTH) for _ in range(BATCH)]
        used, began = time.process_time(), time.perf_counter()
        found = 0
        for number in range(total):
            request: ChatRequest = requests[number % BATCH]
            _, ladder = climbed(self.ladder, request, tags, 0.0, None)
            found += len(make_plan(ladder, read_features(request), limits, rng.random).rungs)
        used, seconds = time.process_time() - used, time.perf_counter() - began
        if found != self.rungs * total:
            raise CannotRun(f"{self.name}: {found} rungs instead of {self.rungs * total}")
        return Cell(total, total, used, 0.0, seconds)


def rows(body: bytes) -> Sequence[Planning]:
    """A catalog of 60 models. A route of three tiers has four on each, or twenty: all of them."""
    few = ladders(read([("bench", config(4))], {}).catalog)
    all_of_them = ladders(read([("bench", config(MODELS // len(TIERS)))], {}).catalog)
    return (
        Planning("60 models, 5 rules, 4 a rung", few["ruled"], body),
        Planning("  no rules", few["plain"], body),
        Planning("  20 a rung, 5 rules", all_of_them["ruled"], body),
    )


def config(each: int) -> str:
    """The text of a configuration with so many models on each rung."""
    names = [f"m{number:02}" for number in range(MODELS)]
    price = {"input": 1.0, "output": 4.0}
    model = {
        "deployments": [{"provider": "p"}],
        "context": 128_000,
        "max_output": 16_000,
        "capabilities": ["tools", "vision", "json_schema"],
        "price": price,
    }
    size = MODELS // len(TIERS)
    tiers = {tier: {"models": names[at * size :][:each]} for at, tier in enumerate(TIERS)}
    tree = {
        "providers": {"p": {"dialect": "openai", "base_url": "http://p.test/v1"}},
        "models": dict.fromkeys(names, model),
        "tiers": tiers,
        "routes": {
            "plain": {"tiers": list(TIERS)},
            "ruled": {"tiers": list(TIERS), "rules": RULES},
        },
        "tags": {"work": ["batch"], "team": ["red"]},
        "tenants": {"bench": {"anonymous": True}},
    }
    return yaml.dump(tree, Dumper=_Whole)


class _Whole(yaml.SafeDumper):
    """Writes what occurs twice twice, and tuples as lists."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Whole.add_representer(tuple, yaml.SafeDumper.represent_list)
