"""Is an answer good enough? Each check looks at one answer and says why not, if not.

A check is cheap, does no I/O and never raises, whatever the answer says. What each one looks at,
and when it lies, is in docs/checks.md.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Choice, Completion
from gateway.core.checks.confidence import ask_confidence, confidence, strip_confidence
from gateway.core.checks.ending import complete, not_empty
from gateway.core.checks.json_answer import json_if_asked
from gateway.core.checks.pattern import citation, compiled, regex
from gateway.core.checks.refusal import not_refused
from gateway.core.checks.sql import known_dialect, sql
from gateway.core.checks.tools import tools_valid

CheckFn = Callable[[Choice, ChatRequest, Mapping[str, Any]], str | None]
"""Why the choice does not pass, in one line that does not quote it; None when it does."""

CHECKS: Final[Mapping[str, CheckFn]] = {
    "citation": citation,
    "complete": complete,
    "confidence": confidence,
    "json_if_asked": json_if_asked,
    "not_empty": not_empty,
    "not_refused": not_refused,
    "regex": regex,
    "sql": sql,
    "tools_valid": tools_valid,
}


class Option(Struct, frozen=True):
    """What a check can be told. `usable` says whether a value of this type will do."""

    type: type
    meaning: str
    required: bool = False
    usable: Callable[[Any], object] = lambda value: True


_PATTERN: Final[Callable[[Any], object]] = compiled

OPTIONS: Final[Mapping[str, Mapping[str, Option]]] = {
    "citation": {"pattern": Option(str, r"a citation; default `\[\d+\]`", usable=_PATTERN)},
    "json_if_asked": {
        "always": Option(bool, "true or false: want JSON whatever the request says"),
    },
    "regex": {
        "pattern": Option(str, "a regular expression", required=True, usable=_PATTERN),
    },
    "sql": {"dialect": Option(str, "one that sqlglot knows", usable=known_dialect)},
}
_NONE: Final[Mapping[str, Option]] = {}


class Finding(Struct, frozen=True):
    """A check that an answer did not pass, and why."""

    check: str
    why: str


def judge(
    checks: tuple[Check, ...], completion: Completion, request: ChatRequest
) -> tuple[Finding, ...]:
    """What is wrong with an answer; nothing when it passes. Each of its choices must pass.

    Raises KeyError for a check that `fault` would have refused as unknown, and nothing else.
    """
    findings: tuple[Finding, ...] = ()
    for check in checks:
        run = CHECKS[check.name]
        why = None if completion.choices else "there is no answer"
        for choice in completion.choices:
            why = run(choice, request, check.options)
            if why is not None:
                break
        if why is not None:
            findings = (*findings, Finding(check.name, why))
    return findings


def ask(checks: tuple[Check, ...], request: ChatRequest) -> ChatRequest:
    """The request as these checks need it to be sent: `confidence` asks for its marker line."""
    return ask_confidence(request) if _in_use("confidence", checks) else request


def strip(checks: tuple[Check, ...], completion: Completion) -> Completion:
    """The answer without what `ask` asked for. Judge it before."""
    return strip_confidence(completion) if _in_use("confidence", checks) else completion


def _in_use(name: str, checks: tuple[Check, ...]) -> bool:
    return any(check.name == name for check in checks)


def fault(check: Check) -> str | None:
    """Why a check cannot be used as it is configured, or asked for; None when it can."""
    if check.name not in CHECKS:
        return f'there is no check "{check.name}"; there are {", ".join(CHECKS)}'
    known = OPTIONS.get(check.name, _NONE)
    for name, value in check.options.items():
        if name not in known:
            return f'{check.name} has no option "{name}"; it has {", ".join(known) or "none"}'
        option = known[name]
        if type(value) is not option.type or not option.usable(value):
            return f"{check.name}: {name} must be {option.meaning}"
    missing = [name for name, option in known.items() if option.required]
    missing = [name for name in missing if name not in check.options]
    return f"{check.name} needs the option {', '.join(missing)}" if missing else None
