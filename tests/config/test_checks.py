"""Checks as they are written, and what the core is given."""

from typing import Any

import pytest

from gateway.config.checks import OneCheck
from gateway.core.catalog import Check
from gateway.core.checks import fault
from gateway.core.checks.grounding import QUOTATION
from gateway.core.snapshot import Secret
from tests.config.texts import SOUND, snapshot

ASKED = {"timeout_ms": 10_000, "on_failure": "skip"}
HOOK = "https://tests.example/run?key=1"
OBJECT = '{"type": "object"}'


@pytest.mark.parametrize(
    ("written", "check"),
    [
        ("tool_known", Check("tool_known")),
        ("python", Check("python")),
        ({"python": {"defines": "main"}}, Check("python", {"defines": "main"})),
        ("language", Check("language")),
        ({"language": "de"}, Check("language", {"language": "de"})),
        ({"language": {"language": "de"}}, Check("language", {"language": "de"})),
        (
            {"length": {"max_words": "1_000", "min_tokens": "2"}},
            Check("length", {"max_words": 1_000, "min_tokens": 2}),
        ),
        ("schema", Check("schema")),
        ({"schema": OBJECT}, Check("schema", {"schema": OBJECT})),
        (
            {"schema": {"schema": OBJECT, "fix": "true"}},
            Check("schema", {"schema": OBJECT, "fix": True}),
        ),
        ({"schema": {"fix": "true"}}, Check("schema", {"fix": True})),
        ("cites_context", Check("cites_context", {"pattern": QUOTATION})),
        ({"cites_context": r"\[id:(\w+)\]"}, Check("cites_context", {"pattern": r"\[id:(\w+)\]"})),
        ({"webhook": HOOK}, Check("webhook", {"url": Secret(HOOK), **ASKED})),
        (
            {"webhook": {"url": HOOK, "timeout_ms": "500", "on_failure": "fail"}},
            Check("webhook", {"url": Secret(HOOK), "timeout_ms": 500, "on_failure": "fail"}),
        ),
        (
            {"judge": {"model": "m1", "rubric": "It is right.\nIt is short.\n"}},
            Check("judge", {"model": "m1", "rubric": "It is right.\nIt is short.", **ASKED}),
        ),
    ],
)
def test_a_check_that_is_written_is_one_of_the_core(written: Any, check: Check) -> None:
    found = OneCheck.model_validate(written).check()
    assert (found.name, dict(found.options)) == (check.name, dict(check.options))
    assert fault(found) is None


def test_the_address_of_a_webhook_is_not_shown() -> None:
    assert HOOK not in repr(OneCheck.model_validate({"webhook": HOOK}).check())


def test_an_emoji_that_json_writes_as_two_escapes_is_one_character() -> None:
    text = SOUND + (
        "tiers: {t: {models: [m1]}}\n"
        'routes: {r: {tiers: [t], checks: [{judge: {model: m1, rubric: "\\ud83d\\ude00"}}]}}\n'
    )
    (check,) = snapshot(text).catalog.routes["r"].checks
    assert check.options["rubric"] == "\N{GRINNING FACE}"
