"""A vote that goes on: a rung between the first and the last adds its answer to the votes."""

import pytest

from gateway.core.catalog import CASCADE, Tactic
from gateway.core.strategies import tactic
from tests.core.test_strategies import DOWN, WRONG, Reply, plan, play

JOIN = tactic("vote", {"join": True})
Script = list[dict[str, Reply]]
Kept = tuple[tuple[str, str] | None, str]


@pytest.mark.parametrize(
    ("rungs", "chosen", "script", "kept"),
    [
        pytest.param(
            ("a/p b/q", "m", "s"),
            JOIN,
            [{"a/p": "42", "b/q": "43"}, {"m": "43."}],
            (("b/q", "43"), "agreed"),
            id="the middle one sides with a vote: the first of these is given",
        ),
        pytest.param(
            ("a/p b/q", "m", "s"),
            JOIN,
            [{"a/p": "42", "b/q": "43"}, {"m": "44"}, {"s": "45"}],
            (("s", "45"), "passed"),
            id="it sides with none: the last one decides",
        ),
        pytest.param(
            ("a/p b/q", "m", "n", "s"),
            JOIN,
            [{"a/p": "42", "b/q": "43"}, {"m": "44"}, {"n": "44"}],
            (("m", "44"), "agreed"),
            id="two in the middle agree",
        ),
        pytest.param(
            ("a/p b/q", "m o", "s"),
            JOIN,
            [{"a/p": "1", "b/q": "2"}, {"m": DOWN}, {"o": "2"}],
            (("b/q", "2"), "agreed"),
            id="who fails is replaced from its rung",
        ),
        pytest.param(
            ("a/p b/q", "m", "s"),
            JOIN,
            [{"a/p": "1", "b/q": "2"}, {"m": "!2"}, {"s": "1"}],
            (("s", "1"), "passed"),
            id="an answer that does not pass is no vote",
        ),
        pytest.param(
            ("a/p b/q", "m", "s"),
            JOIN,
            [{"a/p": "1", "b/q": "2"}, {"m": WRONG}],
            (("a/p", "1"), "rejected"),
            id="the client's fault ends it, with what there is",
        ),
        pytest.param(
            ("a/p b/q", "s"),
            JOIN,
            [{"a/p": "1", "b/q": "2"}, {"s": "3"}],
            (("s", "3"), "passed"),
            id="the last rung never votes",
        ),
        pytest.param(
            ("a/p b/q",),
            JOIN,
            [{"a/p": "1", "b/q": "2"}],
            (("a/p", "1"), "best_effort"),
            id="nobody is left",
        ),
        pytest.param(
            ("a/p b/q", "m", "s"),
            tactic("vote", {"join": True}, CASCADE),
            [{"a/p": "1", "b/q": "2"}, {"m": "3"}],
            (("m", "3"), "passed"),
            id="what comes then is configured",
        ),
        pytest.param(
            ("a/p b/q", "m", "s"),
            tactic("arbitrate", {"join": True}),
            [
                {"a/p": 'call f {"x": 1}', "b/q": 'call f {"x": 2}'},
                {"m": 'call f {"x": 2.0}'},
            ],
            (("b/q", ""), "agreed"),
            id="tool calls",
        ),
    ],
)
def test_the_middle_joins(
    rungs: tuple[str, ...], chosen: Tactic, script: Script, kept: Kept
) -> None:
    *what, rounds = play(plan(*rungs), chosen, *script)
    assert tuple(what) == kept
    assert [each.buffered for each in rounds[:2]] == [True, len(rungs) > 2 and chosen.then is None][
        : len(rounds)
    ]
