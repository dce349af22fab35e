"""Is an answer good enough? Each check looks at one answer and returns why not, or None.

A check is cheap, does no I/O and never raises, whatever the answer says. What each one looks at,
and where it errs, is in docs/checks.md.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Choice, Completion
from gateway.core.checks.confidence import (
    ask_confidence,
    confidence,
    strip_confidence,
    without_marker,
)
from gateway.core.checks.ending import complete, not_empty
from gateway.core.checks.finding import Finding
from gateway.core.checks.grounding import cites_context
from gateway.core.checks.json_answer import json_if_requested
from gateway.core.checks.languages import language
from gateway.core.checks.lengths import length
from gateway.core.checks.options import OPTIONS, option_fault
from gateway.core.checks.pattern import citation, regex
from gateway.core.checks.python_code import python
from gateway.core.checks.refusal import not_refused
from gateway.core.checks.schema_check import fixed, schema
from gateway.core.checks.sql import sql
from gateway.core.checks.tools import tool_known, tools_valid

__all__ = [
    "ASKED", "CHECKS", "OPTIONS", "CheckFn", "Checklist", "Finding", "checklist", "fault",
]  # fmt: skip

CheckFn = Callable[[Choice, ChatRequest, Mapping[str, Any]], str | None]
"""Why the choice does not pass, in one line that does not quote it; None when it does."""

CHECKS: Final[Mapping[str, CheckFn]] = {
    "citation": citation,
    "cites_context": cites_context,
    "complete": complete,
    "confidence": confidence,
    "json_if_asked": json_if_requested,
    "language": language,
    "length": length,
    "not_empty": not_empty,
    "not_refused": not_refused,
    "python": python,
    "regex": regex,
    "schema": schema,
    "sql": sql,
    "tool_known": tool_known,
    "tools_valid": tools_valid,
}

ASKED: Final[Mapping[str, str]] = {
    "judge": "Another model of the catalog finds that the answer meets your rubric.",
    "webhook": "Your own test runner says that it passes.",
}
"""External checks, which need I/O: they run only on answers that pass all the others."""


SPARED: Final = frozenset(("complete", "json_if_asked", "tool_known", "tools_valid"))
"""Checks, without options, that pass each answer that is a text and ended by itself, where neither
a tool nor a format was demanded: as most answers are."""

_Runs = tuple[tuple[str, CheckFn, Mapping[str, Any]], ...]


class Checklist(Struct, frozen=True):
    """Checks, prepared to run: of `all`, the `local` ones, and the `external`, which need I/O."""

    all: tuple[Check, ...]
    local: tuple[Check, ...]
    external: tuple[Check, ...]
    names: tuple[str, ...]
    """Of the local ones."""
    runs: _Runs
    runs_on_text: _Runs
    """Those that may fail an answer that is only text; see SPARED."""
    fixes: tuple[Check, ...]
    asks: bool
    mends: bool
    """Whether `mend` may change an answer."""

    def ask(self, request: ChatRequest) -> ChatRequest:
        """The request as these need it to be sent: `confidence` asks for its marker line."""
        return ask_confidence(request) if self.asks else request

    def judge(self, completion: Completion, request: ChatRequest) -> tuple[Finding, ...]:
        """What is wrong with an answer; nothing when it passes. Each of its choices must pass."""
        choices = completion.choices
        if not choices:
            return tuple([Finding(name, "there is no answer") for name in self.names])
        first, fields = choices[0], request.fields
        if (
            len(choices) == 1
            and first.text
            and first.finish == "stop"
            and not first.tool_calls
            and "function_call" not in first.extra
            and "tool_choice" not in fields
            and "response_format" not in fields
        ):  # nothing but a text: 0.6 us of 1.6 less
            runs = self.runs_on_text
        else:
            runs = self.runs
        findings: tuple[Finding, ...] = ()
        for name, run, options in runs:
            for choice in choices:
                why = run(choice, request, options)
                if why is not None:
                    findings += (Finding(name, why),)
                    break
        return findings

    def mend(self, completion: Completion, request: ChatRequest) -> Completion:
        """The answer as the client gets it: without what `ask` asked for, and its JSON clean where
        a check is to fix it. Judge it before.
        """
        for check in self.fixes:
            completion = fixed(completion, request, check.options)
        return strip_confidence(completion) if self.asks else completion


_MOST: Final = 1_000
_lists: dict[int, Checklist] = {}
"""By the id of a tuple of checks, which its entry keeps alive. The same few tuples come with all
requests, and to prepare one takes 10 us.
"""


def checklist(checks: tuple[Check, ...]) -> Checklist:
    """Raises KeyError for a check that `fault` would have refused as unknown."""
    found = _lists.get(id(checks))
    if found is None:
        if len(_lists) >= _MOST:
            _lists.clear()
        found = _lists[id(checks)] = _checklist(checks)
    return found


def _checklist(checks: tuple[Check, ...]) -> Checklist:
    local = tuple(check for check in checks if check.name not in ASKED)
    asks = any(check.name == "confidence" for check in checks)
    runs = tuple((check.name, _run(check.name, asks=asks), check.options) for check in local)
    fixes = tuple(check for check in checks if check.name == "schema" and check.options.get("fix"))
    return Checklist(
        checks,
        checks if local == checks else local,
        tuple(check for check in checks if check.name in ASKED),
        tuple(check.name for check in local),
        runs,
        tuple(each for each in runs if each[0] not in SPARED or each[2]),
        fixes,
        asks,
        asks or bool(fixes),
    )


def _run(name: str, *, asks: bool) -> CheckFn:
    check = CHECKS[name]
    if not asks or name == "confidence":
        return check
    return lambda choice, request, options: check(without_marker(choice), request, options)


def fault(check: Check) -> str | None:
    """Why a check cannot be used as it is configured, or asked for; None when it can."""
    if check.name not in CHECKS and check.name not in ASKED:
        return f'there is no check "{check.name}"; there are {", ".join((*CHECKS, *ASKED))}'
    return option_fault(check.name, check.options)


NAMED: Final = tuple(name for name in CHECKS if fault(Check(name)) is None)
"""Those that need no option: a client can only give names."""
