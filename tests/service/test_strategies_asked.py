"""Checks that ask somebody, through the running service, streamed and not: a test runner that is a
real HTTP server, honest or not; and a simulated model that judges, paid as an audit.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.core.events import Judged
from gateway.simulator.answers import Answer
from tests.drivers.scripted import CHUNKED, Peer, chunk, scripted, sized
from tests.service.played import Scene, Stage, playing

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAYS: Final = {
    "good": Answer("All is good here."),
    "bad": Answer("All is lost here."),
    "yes": Answer('{"pass": true}'),
    "no": Answer('{"pass": false, "why": "It is lost."}'),
    "fenced-yes": Answer('Let me see.\n```json\n{"pass": true, "why": "fine"}\n```'),
    "in-words": Answer("My verdict: FAIL. It does not meet the rubric."),
    "both": Answer("It could PASS, and it could FAIL."),
    "junk": Answer("Well, who knows?"),
    "maybe": Answer('{"pass": "maybe"}'),
    "half": Answer('{"pass": tr'),
}
VERDICTS: Final = {
    "/pass": b'{"pass": true}',
    "/fail": b'{"pass": false}',
    "/findings": b'{"pass": false, "findings": ["2 of 3 tests fail", {"why": "line 1:\\n 41"}]}',
    "/junk": b"<html>It works!</html>",
    "/half": b'{"pass": tr',
    "/list": b"[true]",
    "/text": b'{"pass": "true"}',
    "/number": b'{"pass": 1}',
    "/nothing": b"",
    "/huge": b'{"pass": true, "findings": ["' + b"x" * 10_000_000 + b'"]}',
}
"""By the path that is asked: what is answered with status 200."""


async def run_tests(peer: Peer) -> None:
    """The owner's test runner; `/tests` does run one."""
    while True:
        asked = await peer.hear()
        path = asked.split(b" ", 2)[1].decode()
        if path == "/hang":
            await peer.end()
        elif path == "/drip":
            await _drip(peer)
        elif path == "/close":
            return
        elif path == "/reset":
            peer.reset()
            return
        elif path == "/500":
            peer.say(sized(b'{"pass": true}', status="HTTP/1.1 500 Oh"))
        elif path == "/moved":
            peer.say(sized(b"", "location: /pass", status="HTTP/1.1 302 Found"))
        elif path == "/tests":
            told = json.loads(asked.partition(b"\r\n\r\n")[2])
            good = "good" in told["answer"]["choices"][0]["text"]
            verdict = {"pass": good, "findings": [] if good else ["good is not in it"]}
            peer.say(sized(json.dumps(verdict).encode()))
        else:
            peer.say(sized(VERDICTS[path]))
            await peer.writer.drain()


async def _drip(peer: Peer) -> None:
    peer.say(CHUNKED)
    while not peer.writer.is_closing():
        peer.say(chunk(b" "))
        await asyncio.sleep(0.02)


def hook(path: str, policy: str = "", timeout_ms: int = 5000) -> str:
    on_failure = f", on_failure: {policy}" if policy else ""
    return f"{{webhook: {{url: '${{HOOK}}{path}', timeout_ms: {timeout_ms}{on_failure}}}}}"


def judge(model: str, policy: str = "") -> str:
    on_failure = f", on_failure: {policy}" if policy else ""
    return f"{{judge: {{model: {model}, rubric: All must be well.{on_failure}}}}}"


PASSED: Final = ("a 0 passed", "a answer ok")
SKIPPED: Final = ("a 0 unjudged", "a answer ok")
POOR: Final = ("m 1 best_effort; a webhook", "a answer ok, m escalation ok")
LATE: Final = ("hang", "drip")
NO_VERDICT: Final = (
    *LATE, "junk", "half", "list", "text", "number", "nothing", "huge", "500", "moved", "close",
    "reset",
)  # fmt: skip
HOOKS: Final = {
    "pass": (hook("/pass"), *PASSED),
    "fail": (hook("/fail"), *POOR),
    "findings": (hook("/findings"), *POOR),
    **{
        f"{lie}-{policy or 'left-out'}": (
            hook(f"/{lie}", policy, 150 if lie in LATE else 5000),
            *{"": SKIPPED, "pass": PASSED, "fail": POOR}[policy],
        )
        for lie in NO_VERDICT
        for policy in ("", "pass", "fail")
    },
    "tests": (hook("/tests"), "m 1 passed; a webhook", "a answer ok, m escalation ok"),
    "cheap-first": (
        f"not_empty, {hook('/tests')}, {{length: {{max_words: 3}}}}",
        "m 1 best_effort; a length",
        "a answer ok, m escalation ok",
    ),
}
JUDGES: Final = {
    "says-yes": "a=yes",
    "says-no": "a=no",
    "no-then-yes": "a=no|yes",
    "says-fenced": "a=fenced-yes",
    "says-words": "a=in-words",
    "says-both": "a=both",
    "says-junk": "a=junk",
    "says-maybe": "a=maybe",
    "says-half": "a=half",
    "is-down": "a=!error500",
    "second-judge": "a=!error500 b=yes",
    "is-cut": "a=!cut",
}
AUDITED: Final = "a answer ok, {0}-a audit ok"
JUDGED_POOR: Final = "a answer ok, {0}-a audit ok, m escalation ok, {0}-a audit ok"
FELL: Final = "m 1 best_effort; a judge"
RULINGS: Final = {
    "yes": ("says-yes", "", "a 0 passed", AUDITED),
    "fenced": ("says-fenced", "", "a 0 passed", AUDITED),
    "no": ("says-no", "", FELL, JUDGED_POOR),
    "words": ("says-words", "", FELL, JUDGED_POOR),
    "turns": ("no-then-yes", "", "m 1 passed; a judge", JUDGED_POOR),
    "both": ("says-both", "", "a 0 unjudged", AUDITED),
    "both-fails": ("says-both", "fail", FELL, JUDGED_POOR),
    "junk": ("says-junk", "", "a 0 unjudged", AUDITED),
    "junk-passes": ("says-junk", "pass", "a 0 passed", AUDITED),
    "junk-fails": ("says-junk", "fail", FELL, JUDGED_POOR),
    "maybe": ("says-maybe", "fail", FELL, JUDGED_POOR),
    "half": ("says-half", "fail", FELL, JUDGED_POOR),
    "cut": ("is-cut", "fail", FELL, JUDGED_POOR),
    "down": ("is-down", "", "a 0 unjudged", "a answer ok, {0}-a audit faulty"),
    "down-fails": (
        "is-down",
        "fail",
        FELL,
        "a answer ok, {0}-a audit faulty, m escalation ok, {0}-a audit faulty",
    ),
    "second": (
        "second-judge",
        "fail",
        "a 0 passed",
        "a answer ok, {0}-a audit faulty, {0}-b audit ok",
    ),
}


def hooked(name: str) -> Scene:
    checks = HOOKS[name][0]
    return Scene(f"hook-{name}", "a=bad > m=good", f"checks: [{checks}]")


def ruled(name: str) -> Scene:
    model, policy, *_ = RULINGS[name]
    return Scene(f"rule-{name}", "a=bad > m=good", f"checks: [{judge(model, policy)}]")


REPAIRS: Final = Scene(
    "repairs", "a=bad|good > m=good", f"strategy: repair, checks: [{hook('/tests')}]"
)
VOTES: Final = Scene(
    "votes", "a=good b=good c=bad > m=good",
    f"strategy: {{vote: {{voters: 3}}}}, checks: [{hook('/tests')}]",
)  # fmt: skip
BOTH: Final = Scene(
    "both", "a=bad > m=good", f"checks: [{hook('/tests')}, {judge('says-no')}]"
)  # fmt: skip
SCENES: Final = (
    *map(hooked, HOOKS),
    *(Scene(name, rungs) for name, rungs in JUDGES.items()),
    *map(ruled, RULINGS),
    REPAIRS, VOTES, BOTH,
)  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with scripted(run_tests) as runner:
        env = {"HOOK": f"http://127.0.0.1:{runner.port}"}
        async with playing(SCENES, SAYS, env=env) as played:
            yield played


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@STREAM
@pytest.mark.parametrize("name", HOOKS)
async def test_a_test_runner(stage: Stage, name: str, stream: bool) -> None:
    _, given, made = HOOKS[name]
    told = await stage.play(hooked(name), stream=stream)
    assert told.status == 200, told.body
    assert f"{told.model} {told.tier} {told.reason}" == given
    # A stream is cut as soon as it is too long, or was whole by then: that is up to how it came.
    calls = [call.replace("answer cut", "answer ok") if stream else call for call in told.calls]
    assert calls == sorted(made.split(", "))
    assert told.text.strip() == SAYS["good" if told.model == "m" else "bad"].text
    assert not told.flows, "what others judge is held until it is whole"
    await stage.audit()


@STREAM
@pytest.mark.parametrize("name", RULINGS)
async def test_a_judge(stage: Stage, name: str, stream: bool) -> None:
    model, _, given, made = RULINGS[name]
    scene = ruled(name)
    told = await stage.play(scene, stream=stream)
    assert told.status == 200, told.body
    assert f"{told.model} {told.tier} {told.reason}" == given
    assert told.calls == sorted(made.format(model).split(", "))
    assert not told.flows
    heard = [ask for ask in stage.cast.asked if "All must be well." in ask.texts[0]]
    assert len(heard) == made.count("audit ok")
    if heard:
        assert scene.question in heard[0].texts[1]
        assert SAYS["bad"].text in heard[0].texts[1]
        assert not heard[0].stream, "a judge is heard whole"
    await stage.audit()


@STREAM
async def test_what_the_tests_found_goes_back_to_be_repaired(stage: Stage, stream: bool) -> None:
    told = await stage.play(REPAIRS, stream=stream)
    assert (told.model, told.reason) == ("a", "passed; a webhook")
    assert "webhook: good is not in it" in stage.texts("a")[1][-1]
    await stage.audit()


@STREAM
async def test_each_vote_is_tested(stage: Stage, stream: bool) -> None:
    told = await stage.play(VOTES, stream=stream)
    assert (told.model, told.reason) == ("a", "agreed")
    failed = [event.failed for event in stage.service.events if isinstance(event, Judged)]
    assert sorted(failed) == [(), (), ("webhook",)]
    await stage.audit()


@STREAM
async def test_both_are_asked_and_both_are_told(stage: Stage, stream: bool) -> None:
    told = await stage.play(BOTH, stream=stream)
    assert told.reason == "best_effort; a webhook"
    failed = [event.failed for event in stage.service.events if isinstance(event, Judged)]
    assert failed == [("webhook", "judge"), ("judge",)]
    assert told.text.strip() == SAYS["good"].text, "the answer with fewer findings is given"
    await stage.audit()


@STREAM
@pytest.mark.parametrize("name", ["webhook", "judge"])
async def test_no_client_may_name_them(stage: Stage, name: str, stream: bool) -> None:
    asked: dict[str, Any] = {"checks": [name]}
    body = {"model": "both", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    answer = await stage.client.post("/v1/chat/completions", json=body | {"gateway": asked})
    assert answer.status_code == 400
    assert "gateway.checks" in answer.text
