"""Short ways to write requests, answers and verdicts in the tests of the checks."""

import json
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Choice, Completion, ToolCall
from gateway.core.checks import Finding, checklist

MESSAGES: Final = [{"role": "user", "content": "Where is Paris?"}]


def request(**fields: Any) -> ChatRequest:
    raw = {"model": "auto", "messages": MESSAGES, **fields}
    return ChatRequest({name: Raw(msgspec.json.encode(raw[name])) for name in raw}, "auto")


def judge(checks: tuple[Check, ...], answer: Completion, asked: ChatRequest) -> tuple[Finding, ...]:
    return checklist(checks).judge(answer, asked)


def ask(checks: tuple[Check, ...], asked: ChatRequest) -> ChatRequest:
    return checklist(checks).ask(asked)


def mend(
    checks: tuple[Check, ...], answer: Completion, asked: ChatRequest | None = None
) -> Completion:
    return checklist(checks).mend(answer, asked or request())


def call(name: str, arguments: Any = None, *, text: str | None = None) -> ToolCall:
    return ToolCall("call_1", name, json.dumps(arguments) if text is None else text)


def whys(
    check: str, answer: Choice | str | None, asked: ChatRequest | None = None, **options: Any
) -> list[str]:
    """What one check says against one answer: nothing, or one line."""
    choice = answer if isinstance(answer, Choice) else Choice(text=answer)
    findings = judge((Check(check, options),), Completion((choice,)), asked or request())
    assert all(finding.check == check for finding in findings)
    assert all(0 < len(finding.why) < 200 for finding in findings)
    assert all("\n" not in finding.why for finding in findings)
    return [finding.why for finding in findings]
