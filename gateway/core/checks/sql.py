"""SQL that parses. It is parsed, not run, and tables and columns are not looked up."""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.fences import fences
from gateway.core.checks.tools import calls_tool

SIZE: Final = 20_000
"""Characters. The parser takes 4 to 13 ms for a thousand; longer text is not parsed, and fails."""
_UNTAGGED: Final = ("", "text", "plaintext")
_START: Final = re.compile(r"(?im)^[ \t]*START[ \t]+TRANSACTION(?=[ \t]*;)")
"""The standard's BEGIN, which the parser knows in few dialects."""
_WORDS: Final = "it holds words that are no SQL statement"


def sql(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The text, or its fenced blocks of SQL, parses as SQL statements."""
    text = choice.text or ""
    if calls_tool(choice):
        return None
    if len(text) > SIZE:
        return f"it is longer than {SIZE} characters, and is not parsed"
    dialect = options.get("dialect")
    blocks = _blocks(text, dialect)
    faults = [_fault(block, dialect, fenced=True) for block in blocks]
    if not blocks:
        faults = [_fault(text, dialect, fenced=False)]
    return next((fault for fault in faults if fault is not None), None)


def known_dialect(name: str) -> bool:
    """Whether `dialect` may be this. Loads the parser, which takes about 0.4 s."""
    from sqlglot.dialects import Dialect  # noqa: PLC0415

    try:
        Dialect.get_or_raise(name)
    except ValueError:
        return False
    return True


def _blocks(text: str, dialect: str | None) -> list[str]:
    """The fenced blocks tagged as SQL; without any, those without a tag."""
    blocks = fences(text)
    tagged = [body for tag, body in blocks if "sql" in tag or (tag and tag == dialect)]
    return tagged or [body for tag, body in blocks if tag in _UNTAGGED]


def _fault(text: str, dialect: str | None, *, fenced: bool) -> str | None:
    # Slow to load, and few configurations use this check.
    import sqlglot  # noqa: PLC0415
    from sqlglot import exp, parser  # noqa: PLC0415
    from sqlglot.errors import ErrorLevel, SqlglotError  # noqa: PLC0415

    parser.logger.disabled = True  # it warns of what it does not know with the answer's own words
    text = _START.sub("BEGIN", text)
    try:
        trees = sqlglot.parse(text, dialect=dialect, error_level=ErrorLevel.IMMEDIATE)
    except SqlglotError:
        return "it does not parse as SQL"
    except RecursionError:
        return "its SQL is nested too deeply"
    except ValueError:  # not a dialect: the configuration's fault
        return None
    statements = [tree for tree in trees if tree is not None]
    if not statements:
        return "there is no SQL statement in it"
    # The parser takes a few bare words for an expression or a command.
    sure = (exp.Query, exp.DML, exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Merge)
    loose = (exp.Condition, exp.Alias)
    beside = (exp.Transaction, exp.Commit, exp.Rollback)
    for tree in statements:
        if isinstance(tree, loose) and not isinstance(tree, exp.Query):
            return _WORDS
        if not fenced and not isinstance(tree, (*sure, *beside)):
            return _WORDS
    return None if fenced or any(isinstance(tree, sure) for tree in statements) else _WORDS
