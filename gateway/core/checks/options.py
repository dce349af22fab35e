"""The options of each check."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.checks.languages import LANGUAGES
from gateway.core.checks.lengths import UNITS
from gateway.core.checks.pattern import compiled
from gateway.core.checks.schema import usable
from gateway.core.checks.sql import known_dialect
from gateway.core.snapshot import Secret

ON_FAILURE: Final = ("skip", "pass", "fail")
"""What happens to an answer when an external check gets no verdict."""
ASK_MS: Final = 10_000
"""How long an external check waits by default."""
_LONGEST: Final = 10_000_000


class Option(Struct, frozen=True):
    """An option of a check. `usable` tells whether a value of this type is allowed."""

    type: type
    meaning: str
    required: bool = False
    usable: Callable[[Any], object] = lambda value: True


_ASKED: Final = {
    "timeout_ms": Option(
        int,
        f"milliseconds from 1 to 60000; default {ASK_MS}",
        usable=lambda value: 1 <= value <= 60_000,
    ),
    "on_failure": Option(
        str,
        f"{', '.join(ON_FAILURE)}: what happens to the answer if there is no verdict; "
        f"default {ON_FAILURE[0]}",
        usable=lambda value: value in ON_FAILURE,
    ),
}
OPTIONS: Final[Mapping[str, Mapping[str, Option]]] = {
    "citation": {
        "pattern": Option(
            str, r"a regular expression for a citation; default `\[\d+\]`", usable=compiled
        )
    },
    "cites_context": {
        "pattern": Option(
            str,
            "a regular expression for a citation; with a group, that part must occur; "
            "default a quotation of 20 characters or more",
            usable=compiled,
        )
    },
    "json_if_asked": {
        "always": Option(bool, "true or false: require JSON whatever the request says"),
    },
    "judge": {
        "model": Option(str, "a model, tier or route of the catalog", required=True),
        "rubric": Option(str, "what a good answer is, in words", required=True),
        **_ASKED,
    },
    "language": {
        "language": Option(
            str,
            f"one of {', '.join(LANGUAGES)}; default that of the request",
            usable=lambda value: value in LANGUAGES,
        )
    },
    "length": {
        f"{bound}_{unit}": Option(
            int,
            f"the {'fewest' if bound == 'min' else 'most'} {unit}, "
            f"a whole number from 1 to {_LONGEST:,}",
            usable=lambda value: 1 <= value <= _LONGEST,
        )
        for unit in UNITS
        for bound in ("min", "max")
    },
    "python": {
        "defines": Option(
            str, "the name of a function or class", usable=lambda value: value.isidentifier()
        )
    },
    "regex": {
        "pattern": Option(str, "a regular expression", required=True, usable=compiled),
    },
    "schema": {
        "schema": Option(
            str,
            "a JSON Schema, as a string; default that of the request",
            usable=lambda value: usable(value.encode("utf-8", "replace")),
        ),
        "fix": Option(bool, "true or false: give the client clean JSON"),
    },
    "sql": {"dialect": Option(str, "one that sqlglot knows", usable=known_dialect)},
    "webhook": {
        "url": Option(Secret, "an http or https URL; only in the configuration", required=True),
        **_ASKED,
    },
}
_NONE: Final[Mapping[str, Option]] = {}


def option_fault(check: str, options: Mapping[str, Any]) -> str | None:
    """Why a check cannot be used with these options; None when it can."""
    known = OPTIONS.get(check, _NONE)
    for name, value in options.items():
        if name not in known:
            return f'{check} has no option "{name}"; it has {", ".join(known) or "none"}'
        option = known[name]
        if type(value) is not option.type or not option.usable(value):
            return f"{check}: {name} must be {option.meaning}"
    missing = [name for name, option in known.items() if option.required]
    missing = [name for name in missing if name not in options]
    if missing:
        return f"{check} needs the option {', '.join(missing)}"
    if check != "length":
        return None
    if not options:
        return f"length needs one of {', '.join(known)}"
    for unit in UNITS:
        if options.get(f"min_{unit}", 0) > options.get(f"max_{unit}", _LONGEST):
            return f"length: min_{unit} must not be above max_{unit}"
    return None
