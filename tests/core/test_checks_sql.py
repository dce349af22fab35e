"""SQL that parses, and words that only look as if they did."""

import subprocess
import sys

import pytest

from gateway.core.chat import Choice
from gateway.core.checks.sql import SIZE
from tests.core.checked import call, whys

WORDS = ["it holds words that are no SQL statement"]
UNPARSED = ["it does not parse as SQL"]
NOTHING = ["there is no SQL statement in it"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT a, count(*) FROM t GROUP BY a", []),
        ("SELECT 1; DELETE FROM t WHERE a = 1;", []),
        ("WITH x AS (SELECT 1) SELECT * FROM x", []),
        ("(SELECT 1) UNION (SELECT 2)", []),
        ("CREATE TABLE t (a INT)", []),
        ("BEGIN;\nINSERT INTO t VALUES (1);\nCOMMIT;", []),
        ("```sql\nSTART TRANSACTION;\nUPDATE t SET a = 1;\nROLLBACK;\n```", []),
        ("Begin;", WORDS),
        ("```sql\nSELECT 1\n```", []),
        ("This does it:\n\n```SQL\nSELECT 1;\n```\n\nIt selects one.", []),
        ("```\nSELECT 1\n```", []),
        ("```python\nrun(\n```\n```sql\nSELECT 1\n```", []),
        ("```sql\nEXPLAIN SELECT 1\n```", []),
        ("```sql\nSELECT 1", []),
        ("", NOTHING),
        (None, NOTHING),
        ("-- nothing", NOTHING),
        ("```sql\n```", NOTHING),
        ("Hello world", WORDS),
        ("42", WORDS),
        ("Show me the tables", WORDS),
        ("```sql\nHello world\n```", WORDS),
        ("I cannot do that.", UNPARSED),
        ("SELECT FROM WHERE", UNPARSED),
        ("```sql\nSELECT a FROM\n```", UNPARSED),
        ("```sql\nSELECT 1\n```\nor\n```sql\nSELECT (\n```", UNPARSED),
        ("SELECT 'x", UNPARSED),
        ("SELECT " + "(" * 5_000, ["its SQL is nested too deeply"]),
        ("x" * (SIZE + 1), [f"it is longer than {SIZE} characters, and is not parsed"]),
        (Choice(tool_calls=(call("query", {}),)), []),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_sql(text: Choice | str | None, says: list[str]) -> None:
    assert whys("sql", text) == says


def test_the_parser_tells_nobody_of_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    assert whys("sql", "```sql\nSHOW what Mr Smith owes\n```") == []
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("dialect", "says"),
    [("postgres", []), ("mysql", UNPARSED), ("klingon", [])],
)
def test_the_dialect_decides(dialect: str, says: list[str]) -> None:
    text = "```sql\nSELECT a::int FROM t WHERE b @> ARRAY[1]\n```"
    assert whys("sql", text, dialect=dialect) == says


def test_the_parser_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, gateway.core.checks; print('sqlglot' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert loaded.stdout.split() == [b"False"]
