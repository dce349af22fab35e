"""Which recorded models stand on which rung, and which route that is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config.faults import ConfigError
from gateway.replay.records import Unusable
from tests.replay.sets import asked, told, write

NAMES = ("tiny", "small", "owner/mid", "big")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each dearer than the one before, and the last one right."""
    rows = {
        name: [{"id": "q", "text": name, "correct": name == "big", "tokens_out": 1}]
        for name in NAMES
    }
    prices = {name: (1.0 + number, 2.0) for number, name in enumerate(NAMES)}
    return write(tmp_path_factory.mktemp("set"), asked("q"), rows, prices)


def rungs(found: Mapping[str, Any]) -> str:
    """`a b > c`."""
    return " > ".join(" ".join(each["models"]) for each in found["rungs"])


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "route.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("route", "pool", "smart", "wanted"),
    [
        ("cascade", "", None, "tiny > small > owner/mid > big"),
        ("cascade", "small,tiny", None, "tiny > small"),  # of equals the first is the smart one
        ("cascade", "tiny,big", None, "tiny > big"),
        ("cascade", "big,tiny", "tiny", "big > tiny"),
        ("vote", "", None, "tiny small > owner/mid > big"),
        ("vote", "mid,small,big", None, "owner/mid small > big"),
        ("vote", "tiny,small", "big", "tiny small > big"),
        ("{tiers: [a, b], strategy: vote}", "", None, "tiny small owner/mid > big"),
        ("{tiers: [a, b, c], strategy: vote}", "", None, "tiny small > owner/mid > big"),
        ("{tiers: [a, b, c, d], strategy: vote}", "", None, "tiny small > owner/mid > big"),
        ("{tiers: [a, b, c]}", "", None, "tiny small > owner/mid > big"),
        ("{strategy: {vote: {voters: 3}}}", "", None, "tiny small owner/mid > big"),
        ("tiers: {a: {models: [small]}, b: {models: [big]}}\nroutes: {r: {tiers: [a, b]}}",
         "", None, "small > big"),
        ("tiers: {a: {models: [mid, tiny]}, b: {models: [big]}}\nroutes: {r: {tiers: [a, b]}}",
         "tiny,big", None, "tiny > big"),
        ("tiers: {a: {models: [tiny]}, b: {models: [other]}}\nroutes: {r: {tiers: [a, b]}}",
         "", None, "tiny"),
        ("tiers: {a: {models: [some]}, b: {models: [other]}}\nroutes: {r: {tiers: [a, b]}}",
         "small,big", None, "small > big"),
    ],
)  # fmt: skip
def test_the_lineup(
    tmp_path: Path, folder: Path, route: str, pool: str, smart: str | None, wanted: str
) -> None:
    name = route if route.isalpha() else file(tmp_path, route)
    found = told(folder, name, *(each for each in pool.split(",") if each), smart=smart)
    assert rungs(found) == wanted


WHOLE = """
providers:
  p: {dialect: openai, base_url: http://localhost, api_key: "${NOWHERE_SET}"}
models:
  small: {deployments: [{provider: p}], context: 9000, price: {input: 1, output: 1}}
  big: {deployments: [{provider: p}], context: 9000, price: {input: 1, output: 1}}
tiers: {cheap: {models: [small]}, pair: {models: [small, big]}, best: {models: [big]}}
routes:
  auto: {tiers: [cheap, best]}
  up: {tiers: [best]}
  voted: {tiers: [pair, best], checks: [not_empty], strategy: {vote: {agree: label}}}
"""


@pytest.mark.parametrize(
    ("route", "wanted"),
    [("FILE", "small > big"), ("FILE#up", "big"), ("auto", "small > big"), ("up", "big")],
)
def test_a_whole_configuration(tmp_path: Path, folder: Path, route: str, wanted: str) -> None:
    """No variable has to be set: nothing is called."""
    config = Path(file(tmp_path, WHOLE))
    found = told(folder, route.replace("FILE", str(config)), config=(config,))
    assert rungs(found) == wanted


def test_what_is_not_recorded_is_told(tmp_path: Path, folder: Path) -> None:
    text = "tiers: {a: {models: [tiny, gone]}, b: {models: [big]}}\nroutes: {r: {tiers: [a, b]}}"
    found = told(folder, file(tmp_path, text))
    assert found["notes"] == ["left out, for there are no recorded answers in the pool: gone"]


def test_a_vote_of_one_is_none(folder: Path) -> None:
    found = told(folder, "vote", "tiny", "big")
    assert found["notes"] == ["the first rung has too few models for vote: it is climbed"]
    assert found["verdicts"] == {"unjudged": 1}


@pytest.mark.parametrize(
    ("route", "pool", "why"),
    [
        ("nothing", (), "nothing is neither a file nor a route; there are arbitrate, cascade"),
        ("vote", ("tiny", "huge"), "no recorded answers of huge; there are tiny, small, owner/mid"),
        ("{routes: {a: {tiers: [x]}, b: {tiers: [x]}}}", (), "no route auto; there are a, b"),
        ("[1, 2]", (), "holds no route"),
        ("{", (), "is not YAML"),
    ],
)
def test_what_cannot_be_rehearsed(
    tmp_path: Path, folder: Path, route: str, pool: tuple[str, ...], why: str
) -> None:
    name = route if route.isalpha() else file(tmp_path, route)
    with pytest.raises(Unusable) as raised:
        told(folder, name, *pool)
    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{strategy: {vote: {voters: 9}}}", "voters must be 2 or 3"),
        ("{strategy: vote, cheks: []}", "cheks"),
        ("{checks: [{regex: '('}]}", "checks"),
    ],
)
def test_a_route_is_checked_as_a_configuration_is(
    tmp_path: Path, folder: Path, text: str, why: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        told(folder, file(tmp_path, text))
    assert why in str(raised.value)


def test_a_rule_is_followed(tmp_path: Path, folder: Path) -> None:
    text = """
tiers: {a: {models: [tiny]}, b: {models: [big]}}
routes:
  r: {tiers: [a, b], rules: [{name: tools, when: {has: [tools]}, tiers: [a]},
                             {name: others, when: {lacks: [tools]}, tiers: [b]}]}
"""
    found = told(folder, file(tmp_path, text))
    assert found["policy"]["accuracy"]["value"] == 1.0
