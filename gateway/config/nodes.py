"""YAML text to nodes: no tag is resolved, nothing constructed, nothing nested too deeply.

libyaml is five times as fast as PyYAML's own reader, and as good for almost every file. But it
words its faults otherwise, takes some texts that the other refuses, and has another place for some
values that were left out. So it only reads texts that both read alike; all others, and all with a
fault, are PyYAML's own.
"""

import re
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.constructor import BaseConstructor
from yaml.resolver import BaseResolver

try:
    from yaml._yaml import CParser
except ImportError:  # PyYAML was built without libyaml
    CParser = None  # type: ignore[assignment,misc]

MAX_DEPTH: Final = 32

_AMBIGUOUS: Final = re.compile(r"[!?%\t\x85\u2028\u2029\ufeff]|---|\.\.\.|[|>][-+\d]*#")
"""What the two may read differently: tags, complex keys and `?` between brackets, directives,
tabs, odd line ends, documents, and a comment that follows `|` without a space.
"""


class _ReadersDiffer(Exception):
    """The other reader would have another place for a value."""


class BoundedComposer(Composer):
    """Raises ComposerError for what is nested too deeply."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = parent.start_mark if parent else None
            raise yaml.composer.ComposerError(problem="nested too deeply", problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class PythonReader(BoundedComposer, yaml.BaseLoader):
    """PyYAML's reader."""


if CParser is not None:

    class LibyamlReader(BoundedComposer, CParser, BaseConstructor, BaseResolver):
        """libyaml's reader under the same composer."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            Composer.__init__(self)
            BaseConstructor.__init__(self)
            BaseResolver.__init__(self)
            self._text = text

        def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
            node = super().compose_scalar_node(anchor)
            node.style = node.style or None
            if not node.value and node.style is None:
                at = node.start_mark.index
                if self._text[at - 1 : at] not in {":", "-"}:
                    raise _ReadersDiffer
            return node


def compose(text: str) -> yaml.Node | None:
    """The root, None of an empty text. Raises yaml.YAMLError."""
    if CParser is not None and not _AMBIGUOUS.search(text):
        try:
            return _compose_with(LibyamlReader(text))
        except (yaml.YAMLError, _ReadersDiffer):
            pass  # PyYAML's own reader reports it
    return _compose_with(PythonReader(text))


def _compose_with(reader: Any) -> yaml.Node | None:
    try:
        node: yaml.Node | None = reader.get_single_node()
        return node
    finally:
        reader.dispose()
