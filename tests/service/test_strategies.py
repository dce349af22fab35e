"""Every strategy through the running service, streamed and not: who is asked and why, what is
given and what is told of it; after each, the ledger, the records, the metrics and the simulator's
bill are one.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.core.strategies import STRATEGIES
from gateway.simulator.answers import REFUSAL, Answer, Call
from tests.service.played import Scene, Stage, playing

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG: Final = "Some would say one thing and some another, and it may well be so. " * 3


def calls(*functions: str) -> Answer:
    """Each `name {arguments}`."""
    pairs = [function.split(" ", 1) for function in functions]
    return Answer(calls=tuple(Call(*pair) for pair in pairs), finish="tool_calls")


SAYS: Final = {
    "42": Answer("The answer is 42."),
    "42.0": Answer("42.0"),
    "43": Answer("43"),
    "44": Answer("44"),
    "good": Answer("All is good here."),
    "bad": Answer("All is lost here."),
    "no": Answer(REFUSAL),
    "long": Answer(LONG),
    "json": Answer('```json\n{"answer": 42, "why": "six sevens"}\n```'),
    "json2": Answer('{"why": "I know", "answer": "42"}'),
    "json3": Answer('{"why": "I know", "answer": "43"}'),
    "f": calls('f {"city": "Paris", "days": 1}'),
    "f-alike": calls('f {"days": 1.0, "city": "paris.", "note": null}'),
    "f-other": calls('f {"city": "Rome", "days": 1}'),
    "f-broken": calls('f {"city": "Paris", "da'),
    "f+g": calls('f {"city": "Paris"}', 'g {"n": 2}'),
    "g+f": calls('g {"n": 2.0}', 'f {"city": "PARIS"}'),
    "f+f": calls('f {"city": "Paris"}', 'f {"city": "Rome"}'),
}
TOOLS: Final[dict[str, Any]] = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": name,
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string"},
                        "days": {"type": "number"},
                        "note": {"type": ["string", "null"]},
                        "n": {"type": "number"},
                    },
                },
            },
        }
        for name in ("f", "g")
    ]
}
GOOD: Final = "checks: [{regex: good}]"
DECLINES: Final = "checks: [not_refused]"
WELL: Final = "checks: [not_empty]"


def lines(text: str) -> list[Any]:
    """The rows of a table, told apart by `|`; what a row is called is its first column."""
    rows = [[cell.strip() for cell in line.split(" | ")] for line in text.strip().splitlines()]
    return [pytest.param(*row, id=row[0]) for row in rows]


# name | strategy, checks | rungs | who answers, the rung, why | escalations | every call
CASCADE: Final = f"""\
good-at-once | {GOOD} | a=good b=good > m=good | a 0 passed | 0 | a answer ok
poor-climbs | {GOOD} | a=bad b=good > m=good | m 1 passed; a regex | 1 | a answer ok, m escalation ok
poor-climbs-twice | {GOOD} | a=bad > m=bad > s=good | s 2 passed; a regex; m regex | 2 | a answer ok, m escalation ok, s escalation ok
nobody-is-good | {GOOD} | a=bad > m=bad | m 1 best_effort; a regex | 1 | a answer ok, m escalation ok
down-steps-aside | {GOOD} | a=!error500 b=good > m=good | b 0 passed; a faulty | 0 | a answer faulty, b fallback ok
down-and-poor | {GOOD} | a=!error500 b=bad > m=good | m 1 passed; a faulty; b regex | 1 | a answer faulty, b fallback ok, m escalation ok
refused-elsewhere | {DECLINES} | a=no a2=good b=good > m=good | b 0 passed; a not_refused | 0 | a answer ok, b fallback ok
refused-by-all | {DECLINES} | a=no b=no c=no > m=good | m 1 passed; a not_refused; b not_refused; c not_refused | 1 | a answer ok, b fallback ok, c fallback ok, m escalation ok
refused-up-too | {DECLINES} | a=no > m=no s=good > s2=no | s 1 passed; a not_refused; m not_refused | 1 | a answer ok, m escalation ok, s fallback ok
unjudged-flows | timeout_s: 100 | a=bad > m=good | a 0 unjudged | 0 | a answer ok
"""  # noqa: E501 - a table

VOTE: Final = f"""\
two-agree | strategy: vote | a=42 b=42.0 c=43 > m=44 | a 0 agreed | 0 | a vote ok, b vote ok
two-disagree | strategy: vote, {WELL} | a=42 b=43 > m=43 | m 1 passed; a disagreed | 0 | a vote ok, b vote ok, m arbitration ok
two-disagree-flows | strategy: vote | a=42 b=43 > m=44 | m 1 unjudged; a disagreed | 0 | a vote ok, b vote ok, m arbitration ok
two-disagree-alone | strategy: vote, {WELL} | a=42 b=43 | a 0 best_effort | 0 | a vote ok, b vote ok
vendors-first | strategy: vote | a=42 a2=43 b=42 > m=44 | a 0 agreed | 0 | a vote ok, b vote ok
not-compared | strategy: vote, {WELL} | a=long b=long > m=44 | m 1 passed; a incomparable | 0 | a vote ok, b vote ok, m arbitration ok
by-number | strategy: {{vote: {{agree: number}}}} | a=42 b=42.0 > m=44 | a 0 agreed | 0 | a vote ok, b vote ok
by-json | strategy: {{vote: {{agree: json}}}}, {WELL} | a=json b=json2 > m=json | m 1 passed; a disagreed | 0 | a vote ok, b vote ok, m arbitration ok
by-pointer | strategy: {{vote: {{agree: json, pointers: [/answer]}}}} | a=json b=json2 > m=json | a 0 agreed | 0 | a vote ok, b vote ok
by-auto-json | strategy: vote | a=json b=json2 > m=json3 | a 0 agreed | 0 | a vote ok, b vote ok
one-fails | strategy: vote | a=42 b=!error500 c=42 > m=43 | a 0 agreed; b faulty | 0 | a vote ok, b vote faulty, c fallback ok
one-fails-climbs | strategy: vote, {WELL} | a=42 b=!error500 > m=42 | m 1 passed; a votes | 0 | a vote ok, b vote faulty, m arbitration ok
one-fails-accept | strategy: {{vote: {{lone: accept}}}} | a=42 b=!error500 > m=43 | a 0 lone_vote | 0 | a vote ok, b vote faulty
both-fail | strategy: vote, {WELL} | a=!error500 b=!error503 > m=42 | m 1 passed; a votes | 0 | a vote faulty, b vote overloaded, m arbitration ok
a-poor-vote | strategy: vote, {GOOD} | a=bad b=good > m=good | m 1 passed; b votes | 0 | a vote ok, b vote ok, m arbitration ok
a-vote-refused | strategy: vote, {DECLINES} | a=no b=42 a2=42 c=42 > m=44 | b 0 agreed; a not_refused | 0 | a vote ok, b vote ok, c fallback ok
the-arbiter-is-poor | strategy: vote, {GOOD} | a=bad b=bad > m=bad > s=good | s 2 passed; b votes; m regex | 1 | a vote ok, b vote ok, m arbitration ok, s escalation ok
the-arbiter-is-down | strategy: vote, {WELL} | a=42 b=43 > m=!error500 s=44 | s 1 passed; a disagreed; m faulty | 0 | a vote ok, b vote ok, m arbitration faulty, s fallback ok
nobody-arbitrates | strategy: vote, {WELL} | a=42 b=43 > m=!error500 | a 0 best_effort; a disagreed | 0 | a vote ok, b vote ok, m arbitration faulty
two-of-three | strategy: {{vote: {{voters: 3}}}} | a=43 b=42 c=42 > m=44 | b 0 agreed | 0 | a vote ok, b vote ok, c vote ok
three-ways | strategy: {{vote: {{voters: 3}}}}, {WELL} | a=42 b=43 c=44 > m=44 | m 1 passed; a disagreed | 0 | a vote ok, b vote ok, c vote ok, m arbitration ok
three-of-three | strategy: {{vote: {{voters: 3, need: 3}}}}, {WELL} | a=42 b=42 c=43 > m=44 | m 1 passed; a disagreed | 0 | a vote ok, b vote ok, c vote ok, m arbitration ok
three-one-fails | strategy: {{vote: {{voters: 3}}}} | a=42 b=!error500 c=42 > m=44 | a 0 agreed | 0 | a vote ok, b vote faulty, c vote ok
three-with-one-less | strategy: {{vote: {{voters: 3, need: 3}}}}, {WELL} | a=42 b=42 c=!error500 > m=44 | m 1 passed; a votes | 0 | a vote ok, b vote ok, c vote faulty, m arbitration ok
joined | strategy: {{vote: {{join: true}}}}, {WELL} | a=42 b=43 > m=43 > s=44 | b 0 agreed; a disagreed | 0 | a vote ok, b vote ok, m arbitration ok
joined-in-vain | strategy: {{vote: {{join: true}}}}, {WELL} | a=42 b=43 > m=44 > s=44 | s 2 passed; a disagreed; m disagreed | 0 | a vote ok, b vote ok, m arbitration ok, s arbitration ok
"""  # noqa: E501 - a table

ARBITRATE: Final = """\
one-call | strategy: arbitrate | a=f b=f-alike > m=f-other | a 0 agreed | 0 | a vote ok, b vote ok
another-call | strategy: arbitrate, checks: [tools_valid] | a=f b=f-other > m=f | m 1 passed; a disagreed | 0 | a vote ok, b vote ok, m arbitration ok
several-calls | strategy: arbitrate | a=f+g b=g+f > m=f | a 0 agreed | 0 | a vote ok, b vote ok
fewer-calls | strategy: arbitrate, checks: [tools_valid] | a=f+g b=f > m=f+g | m 1 passed; a disagreed | 0 | a vote ok, b vote ok, m arbitration ok
the-same-twice | strategy: arbitrate, checks: [tools_valid] | a=f b=f+f > m=f | m 1 passed; a disagreed | 0 | a vote ok, b vote ok, m arbitration ok
a-broken-call | strategy: arbitrate | a=f-broken b=f > m=f | m 1 unjudged; a incomparable | 0 | a vote ok, b vote ok, m arbitration ok
a-checked-call | strategy: arbitrate, checks: [tools_valid] | a=f-broken b=f > m=f | m 1 passed; b votes | 0 | a vote ok, b vote ok, m arbitration ok
two-of-three-call | strategy: {arbitrate: {voters: 3}} | a=f-other b=f c=f-alike > m=f | b 0 agreed | 0 | a vote ok, b vote ok, c vote ok
nobody-calls | strategy: arbitrate | a=42 b=43 > m=f | a 0 agreed | 0 | a vote ok, b vote ok
"""  # noqa: E501 - a table

AGAIN: Final = f"""\
repaired | strategy: repair, {GOOD} | a=bad|good > m=good | a 0 passed; a regex | 0 | a answer ok, a retry ok
beyond-repair | strategy: repair, {GOOD} | a=bad > m=good | m 1 passed; a regex; a regex | 1 | a answer ok, a retry ok, m escalation ok
repaired-twice | strategy: {{repair: {{times: 2}}}}, {GOOD} | a=bad|bad|good > m=good | a 0 passed; a regex; a regex | 0 | a answer ok, a retry ok, a retry ok
repair-of-another | strategy: repair, {GOOD} | a=!error500 b=bad|good > m=good | b 0 passed; a faulty; b regex | 0 | a answer faulty, b fallback ok, b retry ok
repaired-elsewhere | strategy: repair, {DECLINES} | a=no b=good > m=good | b 0 passed; a not_refused | 0 | a answer ok, b fallback ok
nothing-to-repair-by | strategy: repair | a=bad > m=good | a 0 unjudged | 0 | a answer ok
third-try | strategy: retry_cheap, {GOOD} | a=bad|bad|good > m=good | a 0 passed; a regex; a regex | 0 | a answer ok, a retry ok, a retry ok
tries-elsewhere | strategy: retry_cheap, {DECLINES} | a=no b=good > m=good | b 0 passed; a not_refused | 0 | a answer ok, b fallback ok
no-try-left | strategy: {{retry_cheap: {{tries: 2}}}}, {GOOD} | a=bad > m=good | m 1 passed; a regex; a regex | 1 | a answer ok, a retry ok, m escalation ok
tries-of-another | strategy: {{retry_cheap: {{tries: 2}}}}, {GOOD} | a=!error500 b=bad|good > m=good | b 0 passed; a faulty; b regex | 0 | a answer faulty, b fallback ok, b retry ok
"""  # noqa: E501 - a table

SLOW_S: Final = 2.0
"""Of the first of two: the other, asked a moment later, is to end before it."""
HEDGE: Final = f"""\
quick-enough | strategy: {{hedge: {{after_ms: 30000}}}} | a=good b=good > m=good | a 0 unjudged | 0 | a answer ok
quick-and-judged | strategy: {{hedge: {{after_ms: 30000}}}}, {GOOD} | a=good b=good > m=good | a 0 passed | 0 | a answer ok
the-second-wins | strategy: {{hedge: {{after_ms: 20}}}} | a=!slow b=good > m=good | b 0 unjudged | 0 | a answer outrun, b answer ok
the-second-passes | strategy: {{hedge: {{after_ms: 20}}}}, {GOOD} | a=!slow b=good > m=good | b 0 passed | 0 | a answer outrun, b answer ok
the-first-is-down | strategy: {{hedge: {{after_ms: 30000}}}} | a=!error500 b=good > m=good | b 0 unjudged; a faulty | 0 | a answer faulty, b answer ok
both-are-poor | strategy: {{hedge: {{after_ms: 1}}}}, {GOOD} | a=!slow|bad b=bad > m=good | m 1 passed; b regex | 1 | b answer ok, a answer ok, m escalation ok
both-refuse | strategy: {{hedge: {{after_ms: 30000}}}}, {DECLINES} | a=no b=no c=good > m=good | c 0 passed; b not_refused | 0 | a answer ok, b answer ok, c fallback ok
both-are-down | strategy: {{hedge: {{after_ms: 30000}}}} | a=!error500 b=!error503 c=good | c 0 unjudged; b overloaded | 0 | a answer faulty, b answer overloaded, c fallback ok
"""  # noqa: E501 - a table

THEN: Final = f"""\
vote-then-vote | strategy: {{vote: , then: vote}} | a=42 b=43 > m=44 s=44 | m 1 agreed; a disagreed | 0 | a vote ok, b vote ok, m vote ok, s vote ok
vote-then-repair | strategy: {{vote: , then: repair}}, {GOOD} | a=bad b=good > m=bad|good | m 1 passed; b votes; m regex | 0 | a vote ok, b vote ok, m arbitration ok, m retry ok
repair-then-retry | strategy: {{repair: , then: {{retry_cheap: {{tries: 2}}}}}}, {GOOD} | a=bad > m=bad > s=good | s 2 passed; a regex; a regex; m regex; m regex | 2 | a answer ok, a retry ok, m escalation ok, m retry ok, s escalation ok
retry-then-vote | strategy: {{retry_cheap: {{tries: 2}}, then: vote}}, {GOOD} | a=bad > m=good s=good | m 1 agreed; a regex; a regex | 0 | a answer ok, a retry ok, m vote ok, s vote ok
hedge-then-vote | strategy: {{hedge: {{after_ms: 30000}}, then: vote}}, {GOOD} | a=bad b=bad > m=good s=good | m 1 agreed; b regex | 0 | a answer ok, b answer ok, m vote ok, s vote ok
retry-then-hedge | strategy: {{retry_cheap: {{tries: 2}}, then: {{hedge: {{after_ms: 1}}}}}}, {GOOD} | a=bad > m=!slow s=good | s 1 passed; a regex; a regex | 1 | a answer ok, a retry ok, m escalation outrun, s escalation ok
three-in-a-row | strategy: {{retry_cheap: {{tries: 2}}, then: {{repair: , then: cascade}}}}, {GOOD} | a=bad > m=bad > s=good | s 2 passed; a regex; a regex; m regex; m regex | 2 | a answer ok, a retry ok, m escalation ok, m retry ok, s escalation ok
"""  # noqa: E501 - a table

ROWS: Final = [
    row for table in (CASCADE, VOTE, ARBITRATE, AGAIN, HEDGE, THEN) for row in lines(table)
]


def scene(name: str, more: str, rungs: str) -> Scene:
    return Scene(name, rungs, more, TOOLS if "arbitrate" in more else {})


SHOWN: Final = Scene("shown", "a=42 b=43 > m=44", "strategy: {vote: {show_votes: true}}")
UNSHOWN: Final = Scene("unshown", "a=42 b=43 > m=44", "strategy: vote")
REPAIRED: Final = Scene("told", "a=bad|good > m=good", f"strategy: repair, {GOOD}")
RETRIED: Final = Scene("untold", "a=bad|good > m=good", f"strategy: retry_cheap, {GOOD}")
ALONE: Final = Scene("alone", "a=42 > m=44")
SCENES: Final = (
    *(scene(*row.values[:3]) for row in ROWS), SHOWN, UNSHOWN, REPAIRED, RETRIED, ALONE,
)  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with playing(SCENES, SAYS, slow_s=SLOW_S) as played:
        yield played


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@STREAM
@pytest.mark.parametrize(("name", "more", "rungs", "given", "escalations", "made"), ROWS)
async def test_a_strategy(
    stage: Stage, name: str, more: str, rungs: str, given: str, escalations: str, made: str, *,
    stream: bool,
) -> None:  # fmt: skip
    told = await stage.play(scene(name, more, rungs), stream=stream)
    assert told.status == 200, told.body
    assert f"{told.model} {told.tier} {told.reason}" == given
    assert told.escalations == int(escalations)
    wanted = sorted(made.split(", "))
    # A refusal as short as this may have come whole before it is seen to be one.
    assert [call.replace(" cut", " ok") for call in told.calls] == wanted
    assert stream or not any(call.endswith(" cut") for call in told.calls)
    model = given.split(maxsplit=1)[0]
    said = next(each.partition("=")[2] for each in rungs.split() if each.startswith(f"{model}="))
    answer = SAYS[said.rpartition("|")[2]]
    assert told.text.strip() == answer.text.strip()
    assert [(name, json.loads(arguments)) for name, arguments in told.tools] == [
        (call.name, json.loads(call.arguments)) for call in answer.calls
    ]
    await stage.audit()


@STREAM
@pytest.mark.parametrize("scene", [SHOWN, UNSHOWN], ids=lambda scene: scene.name)
async def test_who_decides_sees_the_votes_or_not(stage: Stage, scene: Scene, stream: bool) -> None:
    told = await stage.play(scene, stream=stream)
    assert told.model == "m"
    for model in ("a", "b"):
        assert stage.texts(model) == [(scene.question,)], "voters do not see each other"
    ((seen,),) = stage.texts("m")
    if scene is UNSHOWN:
        assert seen == scene.question
    else:  # in the same message: two of the user in a row are refused by some
        assert seen.startswith(f"{scene.question}\n\n")
        assert "Draft 1:\nThe answer is 42." in seen
        assert "Draft 2:\n43" in seen
    await stage.audit()


@STREAM
async def test_what_was_found_goes_back_to_who_repairs_only(stage: Stage, stream: bool) -> None:
    await stage.play(REPAIRED, stream=stream)
    (question,), (_, answer, finding) = stage.texts("a")
    assert (question, answer) == (REPAIRED.question, SAYS["bad"].text)
    assert "regex" in finding
    await stage.audit()
    await stage.play(RETRIED, stream=stream)
    assert stage.texts("a") == [(RETRIED.question,)] * 2
    await stage.audit()


@STREAM
@pytest.mark.parametrize(
    ("scene", "strategy", "given", "made"),
    [
        (UNSHOWN, "cascade", "a 0 unjudged", "a answer ok"),
        (UNSHOWN, "vote", "m 1 unjudged; a disagreed", "a vote ok, b vote ok, m arbitration ok"),
        (UNSHOWN, "arbitrate", "a 0 agreed", "a vote ok, b vote ok"),
        (UNSHOWN, "hedge", "a 0 unjudged", "a answer ok"),
        *((ALONE, strategy, "a 0 unjudged", "a answer ok") for strategy in STRATEGIES),
    ],
    ids=lambda value: value.name if isinstance(value, Scene) else value,
)
async def test_a_client_may_name_another(
    stage: Stage, scene: Scene, strategy: str, given: str, made: str, stream: bool
) -> None:
    """Where there are too few models for it, or no check, it is asked for as ever: once."""
    told = await stage.play(scene, stream=stream, strategy=strategy)
    assert f"{told.model} {told.tier} {told.reason}" == given
    assert told.calls == sorted(made.split(", "))
    await stage.audit()
