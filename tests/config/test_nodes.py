"""libyaml reads a text as PyYAML does, or is not used for it."""

import random
from pathlib import Path
from typing import Final

import pytest
import yaml

from gateway.config import nodes
from gateway.config.nodes import PythonReader, compose

ROOT: Final = Path(__file__).parents[2]
FILES: Final = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "config").rglob("*.yaml"))
WORDS: Final = (
    *(
        "a",
        "key",
        "1.5",
        "~",
        "null",
        "<<",
        "é",
        "http://a?b",
        "a:b",
        "${A:-b}",
        "*",
        "&",
        "@",
        "`",
    ),
    *("b: ", ": ", ":", "- ", "-", "[", "]", "{", "}", ", ", ",", "? ", "?", "#", " #", "%", "!"),
    *(
        '"',
        "'",
        '""',
        "''",
        "\\n",
        "|\n",
        "> \n",
        "|-\n",
        "|#",
        "|2\n",
        "&x ",
        "*x",
        "!t ",
        "!!str ",
    ),
    *(
        "\n",
        "\n\n",
        "\n  ",
        "\n    ",
        "a: b\n",
        "- a\n",
        "--- ",
        "---\n",
        "...\n",
        "\r\n",
        "\t",
        " ",
    ),
    *("\x85", "\u2028", "\ufeff", "\x07"),
)

Drawn = tuple[object, ...] | str | None


def drawn(node: yaml.Node | None) -> Drawn:
    """What a node is, and where."""
    if node is None:
        return None
    place = node.start_mark.line, node.start_mark.column
    if isinstance(node, yaml.ScalarNode):
        return node.tag, node.value, node.style, place
    if isinstance(node, yaml.SequenceNode):
        return node.tag, [drawn(each) for each in node.value], place
    return node.tag, [(drawn(key), drawn(value)) for key, value in node.value], place


def of_pyyaml(text: str) -> Drawn:
    try:
        return drawn(PythonReader(text).get_single_node())
    except yaml.YAMLError as error:
        return str(error)


def ours(text: str) -> Drawn:
    try:
        return drawn(compose(text))
    except yaml.YAMLError as error:
        return str(error)


@pytest.mark.parametrize("file", FILES)
def test_our_own_files(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert ours(text) == of_pyyaml(text)


@pytest.mark.parametrize(
    "text",
    [
        "[a: , b]", "{a: , b: 1}", "a: {b: # here\n }", "a:\n", "a: \n- \n", "a:\tb", "|#", "--- ",
        "[http://x?y=1]", "a: [!, b]", "a: !t", "a: b: c", "a: 'b", "a: &x {b: c}\nd: *x", "[" * 99,
        "",
    ],
)  # fmt: skip
def test_where_the_two_differ(text: str) -> None:
    assert ours(text) == of_pyyaml(text)


def test_any_text() -> None:
    rng, used = random.Random(7), 0  # noqa: S311
    for _ in range(4_000):
        text = "".join(rng.choice(WORDS) for _ in range(rng.randint(1, 12)))
        assert ours(text) == of_pyyaml(text), repr(text)
        used += nodes._AMBIGUOUS.search(text) is None
    assert used > 1_000
    assert hasattr(nodes, "LibyamlReader"), "every wheel of PyYAML has libyaml"
