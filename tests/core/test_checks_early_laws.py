"""Several checks of one stream: what they decide together is what they find in the whole."""

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.assembly import Assembly
from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, ChoiceDelta, Delta, ToolDelta, Usage
from gateway.core.checks import checklist
from gateway.core.checks.early_checks import EARLY_CHECKS, PASSES, EarlyChecks
from gateway.core.checks.finding import Finding
from tests.core.test_checks_early import (
    ENGLISH,
    GERMAN,
    JSONISH,
    OPTIONS,
    PLAIN,
    PROSE,
    REQUESTS,
    TEXTS,
    cut,
)

EARLY: Final = [(name, options) for name in EARLY_CHECKS for options in OPTIONS.get(name, [{}])]
LATE: Final[list[tuple[str, dict[str, Any]]]] = [("confidence", {}), ("complete", {})]
SHORT: Final = ("length", {"max_characters": 9})
CHECKS: Final = st.lists(st.sampled_from([*EARLY, *LATE]), min_size=1, max_size=4)
MARKS: Final = st.sampled_from(["", "\nCONFIDENCE: HIGH", "CONFIDENCE: LOW\n", " CONFIDENCE: HIGH"])
LONG: Final = st.sampled_from([GERMAN, PROSE, GERMAN + PROSE * 5, PROSE + GERMAN * 5])
THOUGHTS: Final = st.sampled_from(
    ["", "", '<think>\n{"a": 1}\n</think>\n', "<think>{", f"<think>{GERMAN}</think>", "{\n</think>"]
)
ANSWERS: Final = st.tuples(THOUGHTS, MARKS, TEXTS | JSONISH | LONG, MARKS).map("".join)


def stream(text: str, called: Sequence[str], places: list[int], seed: int) -> list[Delta]:
    """The answer in pieces, its calls of tools anywhere between them; some say their size."""
    random = Random(seed)  # noqa: S311
    pieces = cut(text, places) if text else []
    deltas = [
        Delta((ChoiceDelta(text=piece),), size=len(piece.encode()) if number else None)
        for number, piece in enumerate(pieces)
    ]
    deltas.insert(0, Delta((ChoiceDelta(reasoning="Well."),)))
    for at, name in enumerate(called):
        place = random.randint(1, len(deltas))
        begun = Delta((ChoiceDelta(tool_calls=(ToolDelta(at, str(at), name),)),))
        deltas[place:place] = [begun, Delta((ChoiceDelta(tool_calls=(ToolDelta(at),)),))]
    return deltas


@settings(max_examples=400, deadline=None)
@given(
    text=ANSWERS,
    called=st.lists(st.sampled_from(["f", "g"]), max_size=2),
    places=st.lists(st.integers(0, 900), max_size=10),
    names=CHECKS,
    seed=st.integers(0, 10**6),
    asked=st.sampled_from(REQUESTS),
    finish=st.sampled_from(["stop", "length"]),
)
@example(GERMAN, [], [150], [("language", {}), ("confidence", {})], 0, ENGLISH, "stop")
@example(
    "Paris\nCONFIDENCE: HIGH", [], [4, 9, 12, 15], [SHORT, ("confidence", {})], 0, PLAIN, "stop"
)
@example("Paris", [], [2], [("not_refused", {}), ("not_empty", {})], 0, PLAIN, "length")
def test_what_several_decide_of_a_beginning_they_find_in_the_whole(
    text: str,
    called: list[str],
    places: list[int],
    names: list[tuple[str, dict[str, Any]]],
    seed: int,
    asked: ChatRequest,
    finish: str,
) -> None:
    """Whatever the cut, and however many deltas come together."""
    checks = checklist(tuple(Check(name, options) for name, options in names))
    request = checks.ask(asked)
    deltas = stream(text, called if "tools" in asked.fields else [], places, seed)
    deltas += [Delta((ChoiceDelta(finish=finish),)), Delta(usage=Usage(1, 2))]
    whole = Assembly()
    whole.add(deltas)
    found = checks.judge(whole.completion(None), request)
    early, random = EarlyChecks(checks.local, request), Random(seed)  # noqa: S311
    while deltas:
        many = random.randint(1, 4)
        some, deltas = deltas[:many], deltas[many:]
        seen = early.feed(some)
        if isinstance(seen, Finding):
            assert seen.check in {each.check for each in found}
            return
        if seen is PASSES:
            assert found == ()
            return
