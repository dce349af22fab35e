"""Whatever is in the files, load gives a snapshot or a ConfigError."""

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.faults import ConfigError
from gateway.config.load import read
from gateway.config.routes import When
from gateway.config.schema import Config
from tests.config.texts import SOUND

LONGER = ["${A}", "${A:-b}", "$${", "<<: ", "&a ", "*a", "---\n"]
MARKS = [*"[]{}:,-?&*!|>'\"%@`#$ \n\t", *LONGER]
WORDS = sorted(
    {word for word in SOUND.replace("{", " ").replace(":", " ").split() if word.isalnum()}
    | set(Config.model_fields)
    | {"checks", "regex", "price", "weight", "keys", "hash", "url", "no", "~", "1e3", "0x1", "1_0"}
    | {"tag_budgets", "model_budgets", "organisation", "at_once", "rolling", "mode", "soft", "*"}
    | {"strategy", "vote", "then", "voters", "pointers", "any", "webhook"}
)
PIECES = st.lists(st.sampled_from(MARKS + WORDS) | st.text(max_size=4), max_size=60).map("".join)
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(WORDS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=15,
)


def only_config_errors(text: str) -> None:
    try:
        read([("f.yaml", text)], {"A": "1"})
    except ConfigError as error:
        found = error
    else:
        return
    assert found.faults
    assert len(str(found).splitlines()) == len(found.faults)


BUDGETS = ["budgets", "user_budgets", "tag_budgets", "model_budgets", "provider_budgets", "keys"]
AMOUNTS = st.sampled_from(["usd", "tokens", "requests", "at_once", "per", "rolling", "mode", "x"])
BUDGET: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    AMOUNTS, st.sampled_from(["1", "day", "true", "soft", "-1", [], {}, None])
)
NAMED = st.dictionaries(
    st.sampled_from(["m1", "local", "*", "x y"]), st.lists(BUDGET | SCALARS, max_size=3) | SCALARS
)


@given(st.dictionaries(st.sampled_from(BUDGETS), NAMED | st.lists(BUDGET | SCALARS) | SCALARS))
@settings(max_examples=100, deadline=None)
def test_any_budgets(tenant: dict[str, Any]) -> None:
    sound = yaml.safe_load(SOUND)
    sound["tenants"]["acme"] = tenant
    sound["organisations"] = {"globex": tenant}
    only_config_errors(yaml.safe_dump(sound, allow_unicode=True))


OPTION = st.sampled_from(["voters", "need", "agree", "pointers", "times", "after_ms", "x"])
STRATEGY = st.recursive(
    SCALARS | st.sampled_from(["vote", "hedge"]),
    lambda inner: st.dictionaries(
        st.sampled_from(["vote", "hedge", "repair", "then", "x"]),
        inner | st.dictionaries(OPTION, VALUES, max_size=3),
        max_size=3,
    ),
    max_leaves=6,
)


@given(STRATEGY)
@settings(max_examples=100, deadline=None)
def test_any_strategy(strategy: Any) -> None:
    sound = yaml.safe_load(SOUND)
    sound["tiers"] = {"t": {"models": ["m1"]}}
    sound["routes"] = {"r": {"tiers": ["t"], "strategy": strategy}}
    only_config_errors(yaml.safe_dump(sound, allow_unicode=True))


CONDITION = st.sampled_from([*When.model_fields, "tokens"])
SPAN = st.dictionaries(st.sampled_from(["above", "at_most", "from", "to", "zone"]), SCALARS)
NAMES = st.sampled_from(["t", "x", "han", "tools", "code", "eu", "legal", "other", None, 3])
WHEN = st.dictionaries(
    CONDITION,
    SCALARS
    | SPAN
    | st.lists(NAMES, max_size=3)
    | st.dictionaries(st.sampled_from(["use_case", "x"]), st.lists(NAMES, max_size=2)),
    max_size=3,
)
RULE: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b", "a b", None]),
        "when": WHEN | SCALARS,
        "tiers": st.lists(NAMES, max_size=2) | SCALARS,
        "order": st.sampled_from(["cheapest", "x"]),
        "x": SCALARS,
    },
)


@given(st.lists(RULE | SCALARS, max_size=4) | RULE)
@settings(max_examples=200, deadline=None)
def test_any_rules(rules: Any) -> None:
    sound = yaml.safe_load(SOUND)
    sound["tiers"] = {"t": {"models": ["m1"]}}
    sound["tags"] = {"use_case": ["legal"]}
    sound["routes"] = {"r": {"tiers": ["t"], "rules": rules}}
    only_config_errors(yaml.safe_dump(sound, allow_unicode=True))


@given(PIECES)
@settings(max_examples=100, deadline=None)
def test_any_text(text: str) -> None:
    only_config_errors(text)


@given(st.integers(0, len(SOUND)), st.integers(0, 30), PIECES)
@settings(max_examples=100, deadline=None)
def test_a_sound_text_with_a_hole(at: int, size: int, text: str) -> None:
    only_config_errors(SOUND[:at] + text + SOUND[at + size :])


@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), VALUES, max_size=5))
@settings(max_examples=100, deadline=None)
def test_any_value_in_any_section(value: dict[str, Any]) -> None:
    only_config_errors(yaml.safe_dump(value, allow_unicode=True))
