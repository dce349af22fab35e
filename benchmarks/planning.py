"""What it costs to plan a request: the functions that handle.py calls, in this process.

As the service does it, most requests find a plan that was kept: for their size of prompt and their
limit of output. So requests differ in both, and what is kept is lost now and then.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import yaml

from benchmarks.servers import CannotRun
from benchmarks.table import Cell
from gateway.config.load import read
from gateway.core.catalog import Tenant
from gateway.core.chat import ChatRequest
from gateway.core.features import Features, read_features
from gateway.core.ladder import Ladder, ladders
from gateway.core.plan import Draw, Plan, PlanContext, make_plan
from gateway.core.plans import Plans
from gateway.core.rule_traits import climbed
from gateway.web.parse import read_request
from gateway.web.shapes import Shapes

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
KEPT = 20_000
"""After so many requests plans are made anew, as a model's factor of tokens has changed. Where its
bills scatter by 10 % that happens less often.
"""
MEDIAN_BYTES, SPREAD, LEAST_BYTES, MOST_BYTES = 1_024, 1.0, 200, 40_000
"""Of a prompt: log-normal, so that one of six is above 2.8 kB, and one of 40 above 7.3 kB."""
OUTPUTS = (None, 256, 400, 1_000, 4_096)


@dataclass
class Planning:
    """A row. These are asked of a ladder in turn; as many rungs must come out of each as are told.
    `kept` is after how many requests the plans so far are forgotten.
    """

    name: str
    ladder: Ladder
    bodies: Sequence[bytes]
    kept: int = KEPT
    rungs: int = len(TIERS)

    def calibrate(self, cpu_s: float) -> int:
        """How many plans take about so much CPU time."""
        self.measure(BATCH)
        cell = self.measure(BATCH)
        return max(BATCH, int(cpu_s / cell.cpu_s * BATCH))

    def measure(self, total: int) -> Cell:
        context, rng, tags = PlanContext(Tenant("bench")), Random(1), {"team": "red"}  # noqa: S311
        shapes = Shapes()
        requests = [read_request(body, {}, DEPTH, shapes) for body in self.bodies]
        used, began = time.process_time(), time.perf_counter()
        found, plans = 0, Plans()
        for number in range(total):
            request: ChatRequest = requests[number % len(requests)]
            if number % self.kept == 0:
                plans = Plans()
            features = read_features(request)
            _, ladder = climbed(self.ladder, request, tags, 0.0, None, features)
            make = partial(_made, ladder, context, rng.random)
            found += len(plans.plan(ladder, features, context.tenant, 0, make).rungs)
        used, seconds = time.process_time() - used, time.perf_counter() - began
        if found != self.rungs * total:
            raise CannotRun(f"{self.name}: {found} rungs instead of {self.rungs * total}")
        return Cell(total, total, used, 0.0, seconds)


def _made(ladder: Ladder, context: PlanContext, draw: Draw, features: Features) -> Plan:
    return make_plan(ladder, features, context, draw)


def rows(bodies: Sequence[bytes]) -> Sequence[Planning]:
    """A catalog of 60 models. A route of three tiers has four on each, or twenty: all of them."""
    few = ladders(read([("bench", config(4))], {}).catalog)
    all_of_them = ladders(read([("bench", config(MODELS // len(TIERS)))], {}).catalog)
    return (
        Planning("60 models, 5 rules, 4 a rung", few["ruled"], bodies),
        Planning("  each plan made anew", few["ruled"], bodies, kept=1),
        Planning("  no rules", few["plain"], bodies),
        Planning("  20 a rung, 5 rules", all_of_them["ruled"], bodies),
    )


def various(count: int = BATCH) -> list[bytes]:
    """Requests as they come: of all sizes."""
    rng = Random(1)  # noqa: S311 - the same each time, not a secret
    return [_request(rng) for _ in range(count)]


def _request(rng: Random) -> bytes:
    size = int(MEDIAN_BYTES * rng.lognormvariate(0.0, SPREAD))
    text = "You answer briefly. " * (min(max(size, LEAST_BYTES), MOST_BYTES) // 20)
    messages = [
        {"role": "system", "content": "You are of help."},
        {"role": "user", "content": text},
    ]
    asked = {"model": "auto", "temperature": 0.7, "messages": messages}
    limit = rng.choice(OUTPUTS)
    return json.dumps(asked if limit is None else asked | {"max_tokens": limit}).encode()


def missed(bodies: Sequence[bytes]) -> float:
    """The share of requests that find no plan."""
    ladder = ladders(read([("bench", config(1))], {}).catalog)["plain"]
    context, plans = PlanContext(Tenant("bench")), Plans()
    found: set[int] = set()
    for body in bodies:
        features = read_features(read_request(body, {}, DEPTH))
        make = partial(_made, ladder, context, lambda: 0.0)
        found.add(id(plans.plan(ladder, features, context.tenant, 0, make)))
    return len(found) / KEPT


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
