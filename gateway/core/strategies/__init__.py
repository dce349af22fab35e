"""How a plan is carried out, by name: which calls to make, and which answer to keep."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from gateway.core.agree import MODES
from gateway.core.catalog import BALLOTS, CASCADE, Tactic
from gateway.core.pace import LatencyTracker
from gateway.core.plan import Candidate, Plan, Rung, paced, races
from gateway.core.strategies.cascade import cascade
from gateway.core.strategies.hedge import hedge
from gateway.core.strategies.progress import Progress, Steps
from gateway.core.strategies.repair import repair, retry_cheap
from gateway.core.strategies.vote import arbitrate, diverse, vote
from gateway.core.strategy import Strategy, Verdict

STRATEGIES: Final[Mapping[str, Callable[[Plan, Tactic, Progress], Steps]]] = {
    "arbitrate": arbitrate,
    "cascade": cascade,
    "hedge": hedge,
    "repair": repair,
    "retry_cheap": retry_cheap,
    "vote": vote,
}


class Option(Struct, frozen=True):
    """An option of a strategy: its default, and which values are allowed."""

    default: Any
    meaning: str
    allowed: Callable[[Any], bool]


def _from(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _one_of(*known: str) -> Callable[[Any], bool]:
    return lambda value: value in known


_BALLOT: Final[Mapping[str, Option]] = {
    "voters": Option(2, "2 or 3: how many models are asked at once", _from(2, 3)),
    "need": Option(2, "2 or 3: how many must agree", _from(2, 3)),
    "show_votes": Option(
        default=False,
        meaning="true or false: whether who decides sees the votes",
        allowed=lambda value: type(value) is bool,
    ),
    "join": Option(
        default=False,
        meaning="true or false: whether a rung between the first and the last adds its vote",
        allowed=lambda value: type(value) is bool,
    ),
    "lone": Option(
        "climb",
        "climb or accept: what becomes of a lone vote when the others failed",
        _one_of("climb", "accept"),
    ),
}
_OF_JSON: Final = ("auto", "json")
"""Modes that compare answers in JSON."""
OPTIONS: Final[Mapping[str, Mapping[str, Option]]] = {
    "arbitrate": _BALLOT,
    "cascade": {},
    "hedge": {
        "after_ms": Option(
            None,
            "milliseconds from 1 to 60000; left out, the 95th percentile of what was observed",
            lambda value: value is None or _from(1, 60_000)(value),
        )
    },
    "repair": {"times": Option(1, "1 to 5: how often a finding goes back", _from(1, 5))},
    "retry_cheap": {"tries": Option(3, "2 to 10: how often it is asked", _from(2, 10))},
    "vote": {
        **_BALLOT,
        "agree": Option("auto", f"how answers agree: {', '.join(MODES)}", _one_of(*MODES)),
        "pointers": Option(
            (),
            "JSON pointers such as /answer: what of a JSON answer is compared",
            lambda value: all(type(each) is str and each[:1] == "/" for each in value),
        ),
    },
}


def tactic(
    name: str, options: Mapping[str, Any] | None = None, then: Tactic | None = None
) -> Tactic:
    """A strategy with the options given, and the defaults of the others. `fault` has found none."""
    given = options or {}
    known = OPTIONS[name]
    whole = {key: given.get(key, option.default) for key, option in known.items()}
    return Tactic(name, whole, then)


def named(plan: Plan, name: str, pace: LatencyTracker) -> tuple[Plan, Tactic]:
    """The strategy that a client names, and the plan for it: made for the route's own, it may lack
    what a race goes by.
    """
    chosen = tactic(name)
    if not races(chosen):
        return plan, chosen
    rungs = tuple(
        structs.replace(rung, candidates=tuple(paced(each, pace) for each in rung.candidates))
        for rung in plan.rungs
    )
    return structs.replace(plan, rungs=rungs), chosen


def fault(name: str, options: Mapping[str, Any]) -> str | None:
    """Why a strategy cannot be used as it is configured; None when it can."""
    if name not in STRATEGIES:
        return f'there is no strategy "{name}"; there are {", ".join(STRATEGIES)}'
    known = OPTIONS[name]
    for key, value in options.items():
        if key not in known:
            return f'{name} has no option "{key}"; it has {", ".join(known) or "none"}'
        if not known[key].allowed(value):
            return f"{name}: {key} must be {known[key].meaning}"
    if options.get("need", 2) > options.get("voters", 2):
        return f"{name}: need must not be more than voters"
    if options.get("pointers") and options.get("agree", "auto") not in _OF_JSON:
        return f"{name}: pointers are used with agree: {' or '.join(_OF_JSON)} only"
    return None


def taking(rung: Rung, chosen: Tactic) -> Tactic:
    """The strategy that takes a rung: `then`, where that has too few models or nothing to check."""
    while not _able(chosen, rung):
        chosen = chosen.then or CASCADE
    return chosen


def _able(chosen: Tactic, rung: Rung) -> bool:
    if chosen.name in BALLOTS:
        return len(diverse(rung)) >= int(chosen.options["need"])
    if chosen.name == "hedge":
        return len(rung.candidates) > 1
    return chosen.name == CASCADE.name or bool(rung.checks.all)


def carry_out(plan: Plan, chosen: Tactic) -> Strategy:
    """The whole climb, until there is a verdict."""
    if chosen.name == CASCADE.name:  # which always comes to one
        return cascade(plan, chosen, Progress())
    return _one_after_the_other(plan, chosen)


def _one_after_the_other(plan: Plan, chosen: Tactic) -> Strategy:
    progress = Progress()
    while True:
        end = yield from STRATEGIES[chosen.name](plan, chosen, progress)
        if isinstance(end, Verdict):
            return end
        plan, chosen = end, chosen.then or CASCADE


def is_last(plan: Plan, candidate: Candidate) -> bool:
    """Whether nobody better is left to ask than this one: it is on the last rung, where it may be
    of a lower tier that is asked when the rung's own have failed.
    """
    last = plan.rungs[-1]
    return candidate.tier == last.tier or any(each is candidate for each in last.candidates)
