"""What happened to a request, from the records of its calls, beside its plan.

Like EXPLAIN ANALYZE in a database: explain.py says what would be done, this says what was done.
Records do not hold the plan of that time: it is made from the current configuration. They say what
each call was for; what led to it is read from the call before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct, structs

from gateway.core.chat import Usage
from gateway.core.explain.prices import dollars
from gateway.core.ladder import Ladder, Step, StepModel
from gateway.core.money import cost
from gateway.core.plan import peak_price
from gateway.core.records.line import Line
from gateway.core.records.record import BEHIND, COMPARED
from gateway.core.rules import by_tags

_JUDGED: Final = frozenset({"ok", "cut"})
_UNSEEN: Final = frozenset({"audit", COMPARED, "expired"})
"""Purposes of records that are of no answer to a client."""


class Made(Struct, frozen=True):
    """One call: its record, and what all its entries charged together, in nano-dollars."""

    line: Line
    charged: int

    @property
    def began(self) -> float:
        """Unix seconds; of a ledger that knows no time, the place in its book."""
        line = self.line
        if not line.time:
            return float(line.ledger.seq) if line.ledger is not None else 0.0
        return datetime.fromisoformat(line.time).timestamp() - line.seconds


def calls_of(lines: Iterable[Line]) -> tuple[Made, ...]:
    """The calls in the order they were made; one that expired and was corrected is one call."""
    found: dict[str, Made] = {}
    for line in lines:
        before = found.get(line.attempt)
        so_far = 0 if before is None else before.charged
        last = line if before is None or line.model else before.line
        found[line.attempt] = Made(last, so_far + line.charged.nanos)
    return tuple(sorted(found.values(), key=lambda made: made.began))


def analyze(
    request_id: str, lines: Sequence[Line], named: Mapping[str, Ladder]
) -> dict[str, Any] | None:
    """JSON values; None where nothing is recorded of the request. Costs are in US dollars.

    `held` is what the calls might have cost at most, `always_smart` what the last rung's first
    model asks for the tokens of the answer, and `saved` the difference to what was charged. What
    went on behind the answer is told by itself, and paid for beside it: `behind`. `reported_usd` of
    an attempt is what its provider says that it cost; null where it did not say.
    """
    every = calls_of(lines)
    made = [each for each in every if BEHIND not in _beyond(each, request_id)]
    unseen = [each for each in every if BEHIND in _beyond(each, request_id)]
    calls = [each for each in made if each.line.purpose != COMPARED]
    if not calls:
        return None
    first = next((each.line for each in calls if each.line.model), calls[0].line)
    known = first.time != ""
    begins = calls[0].began
    ends = max(each.began + each.line.seconds for each in calls)
    answer = next((each for each in reversed(calls) if _answers(each.line)), None)
    rule, ladder = _climbed(named.get(first.route), calls)
    return {
        "request": request_id,
        **{name: getattr(first, name) for name in ("tenant", "organisation", "route", "key")},
        **{name: getattr(first, name) for name in ("user", "tags", "stream")},
        "began": datetime.fromtimestamp(begins, UTC).isoformat() if known else None,
        "seconds": round(ends - begins, 6) if known else None,
        "plan": None if ladder is None else _plan(rule, ladder, calls),
        "attempts": list(_attempts(calls)),
        "answered_by": None if answer is None else _where(answer.line),
        "compared": [each.line.outcome for each in every if each.line.purpose == COMPARED],
        "behind": list(_behind(unseen)),
        "cost_usd": {
            **_costs(calls, answer, ladder),
            "behind": dollars(sum(each.charged for each in unseen)),
        },
    }


def _beyond(made: Made, request_id: str) -> str:
    return made.line.request.removeprefix(request_id)


def _behind(unseen: Sequence[Made]) -> Iterator[dict[str, Any]]:
    """Each life that no client saw: what for, its calls, and what its answer said beside the one
    that was given; None where that was not compared.
    """
    for name in dict.fromkeys(each.line.request for each in unseen):
        mine = [each for each in unseen if each.line.request == name]
        calls = [each for each in mine if each.line.purpose != COMPARED]
        outcomes = [each.line.outcome for each in mine if each.line.purpose == COMPARED]
        yield {
            "request": name,
            "kind": name.rpartition(BEHIND)[2],
            "route": mine[0].line.route,
            "attempts": list(_attempts(calls)),
            "compared": outcomes[-1] if outcomes else None,
            "charged_usd": dollars(sum(each.charged for each in mine)),
        }


def _answers(line: Line) -> bool:
    return line.outcome == "ok" and line.purpose not in _UNSEEN


def _where(line: Line) -> dict[str, str]:
    return {"model": line.model, "provider": line.provider, "tier": line.tier}


def _attempts(calls: Sequence[Made]) -> Iterator[dict[str, Any]]:
    so_far: list[Line] = []
    for made in calls:
        line = made.line
        first, tokens = line.first_token_s, structs.asdict(line.usage)
        reported = tokens.pop("reported_cost")
        yield {
            **_where(line),
            "deployment": f"{line.provider}/{line.model}" if line.model else "",
            "purpose": line.purpose,
            "outcome": line.outcome,
            "why": _why(line, so_far),
            "held_usd": dollars(line.held),
            "charged_usd": dollars(made.charged),
            "reported_usd": dollars(reported) if reported else None,
            "tokens": tokens,
            "counted": line.counted,
            "ms": round(line.seconds * 1000, 3),
            "first_token_ms": None if first is None else round(first * 1000, 3),
        }
        if line.purpose not in _UNSEEN:
            so_far.append(line)


def _why(line: Line, so_far: Sequence[Line]) -> str:
    """What led to a call, in a few words. `so_far` are those made before it."""
    fixed = {
        "vote": "one of the voters",
        "audit": "asked about an answer, or behind it: no client saw what it said",
        "expired": "nobody settled its hold in time: it was charged in full",
        "abandoned": "the client was gone",
    }
    if line.purpose in fixed:
        return fixed[line.purpose]
    if not so_far:
        return "asked first"
    before = so_far[-1]
    if line.purpose == "arbitration":
        return "the votes before it did not agree"
    if line.purpose == "fallback":
        # Of calls that were made at once, it stands in for the one that failed.
        beside = [each for each in so_far if each.tier in {line.tier, before.tier}]
        failed = [each for each in beside if each.outcome not in _JUDGED]
        before = failed[-1] if failed else before
    name = before.model
    if before.outcome in _JUDGED:
        return {
            "answer": "asked too",
            "fallback": "what was said before it was refused: another vendor is asked",
            "retry": f"what {name} said was not good enough: it is asked again",
        }.get(line.purpose, f"what {name} said was not good enough")
    return f"{name} failed: {before.outcome}"


def _climbed(ladder: Ladder | None, calls: Sequence[Made]) -> tuple[str, Ladder | None]:
    """The rule, "" for none, and the ladder that has all that was asked; it may have changed. Of
    what rules ask for only tags are recorded.
    """
    if ladder is None:
        return "", None
    seen = [each.line for each in calls if each.line.purpose not in _UNSEEN]
    called = {(line.tier, line.model) for line in seen}
    tags = next((line.tags for line in seen if line.model), {})
    for name, each in _possible(ladder, tags):
        if called <= {(step.tier, place.model.name) for step, place in _places(each)}:
            return name, each
    return "", None


def _possible(ladder: Ladder, tags: Mapping[str, str]) -> list[tuple[str, Ladder]]:
    """By the name of a rule, what a request with these tags may have climbed: the ladder itself
    first, unless a rule is sure to hold.
    """
    found = []
    for name, when, each in ladder.rules:
        holds = by_tags(when, tags)
        if holds is not False:
            found.append((name, each))
        if holds:
            return found
    return [("", ladder), *found]


def _places(ladder: Ladder) -> Iterator[tuple[Step, StepModel]]:
    for step in ladder.steps:
        for place in step.models:
            yield step, place


def _plan(rule: str, ladder: Ladder, calls: Sequence[Made]) -> dict[str, Any]:
    """Each rung, and how often each of its candidates was asked."""
    lines = [each.line for each in calls]
    called = [(line.tier, line.provider, line.model) for line in lines if line.purpose != "audit"]
    return {
        "rule": rule or None,
        "strategy": ladder.strategy.name,
        "rungs": [
            {
                "tier": step.tier,
                "checks": [check.name for check in step.checks],
                "candidates": [
                    {
                        "model": place.model.name,
                        "provider": each.provider,
                        "calls": called.count((step.tier, each.provider, place.model.name)),
                    }
                    for place in step.models
                    for each in place.deployments
                ],
            }
            for step in ladder.steps
        ],
    }


def _costs(calls: Sequence[Made], answer: Made | None, ladder: Ladder | None) -> dict[str, Any]:
    charged = sum(each.charged for each in calls)
    smart = _smart(answer, ladder) if answer is not None and ladder is not None else None
    return {
        "charged": dollars(charged),
        "held": dollars(sum(each.line.held for each in calls)),
        "always_smart": None if smart is None else dollars(smart),
        "saved": None if smart is None else dollars(smart - charged),
    }


def _smart(answer: Made, ladder: Ladder) -> int:
    """What the last rung's first candidate charges for the tokens of this answer."""
    line, last = answer.line, ladder.steps[-1].models[0]
    deployment = last.deployments[0]
    if (line.model, line.provider) == (last.model.name, deployment.provider):
        return answer.charged
    usage = line.usage
    price = peak_price(last.model, deployment, usage.prompt)
    return cost(price, Usage(usage.prompt, usage.completion))
