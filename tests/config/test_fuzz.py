"""Whatever is in the files, load gives a snapshot or a ConfigError."""

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.faults import ConfigError
from gateway.config.load import read
from gateway.config.schema import Config
from tests.config.texts import SOUND

LONGER = ["${A}", "${A:-b}", "$${", "<<: ", "&a ", "*a", "---\n"]
MARKS = [*"[]{}:,-?&*!|>'\"%@`#$ \n\t", *LONGER]
WORDS = sorted(
    {word for word in SOUND.replace("{", " ").replace(":", " ").split() if word.isalnum()}
    | set(Config.model_fields)
    | {"checks", "regex", "price", "weight", "keys", "hash", "url", "no", "~", "1e3", "0x1", "1_0"}
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
