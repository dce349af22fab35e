"""Checks values against the JSON Schemas that clients send.

A schema comes from a stranger: references to other documents are not fetched, and one that costs
too much to apply is not used. No answer fails because a schema cannot be used.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, Protocol
from urllib.parse import unquote

import jsonschema_rs
import msgspec

SIZE: Final = 65_536
"""Bytes. A longer schema takes tens of milliseconds to compile, and is not used."""
WORK: Final = 100_000
"""Schemas visited for one value, references followed. Twenty-five definitions that each refer
twice to the next are 1.8 kB and took 0.6 s; ten more would take ten minutes.
"""
DEPTH: Final = 256
"""References followed in a row. With the depth of an answer this bounds the validator's stack,
whose overflow would end the process.
"""
_UNBOUNDED: Final = ("$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef")
_ID: Final = "id"
"""In draft 4 it names a schema; in later drafts it is an ordinary property."""
_DRAFT_4: Final = b"draft-04"
_DEFINITIONS: Final = ("$defs", "definitions")
_STEPS: Final = 20_000
"""Nodes weighed, some of them again and again: so many take some 50 ms."""
_ANY_REFERENCE: Final = re.compile(rb"[Rr]ef|\\u")
_BACKTRACKS: Final = 10_000
_PATTERNS: Final = 256
"""Different patterns in a schema."""
_COMPILED_SIZE: Final = 8 * 1024 * 1024
"""Bytes that its patterns may take, each an equal part: to compile them takes some 100 ms. Each of
2,000 might take 10 MB else, and that for minutes.
"""
_MATCHING: Final = 500_000
"""Characters of a value times patterns: at worst it takes a microsecond or two for each."""
_LOOKAROUND: Final = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9k]")
_SLOW: Final = 10
"""A pattern that looks around or back counts as so many."""
_LONG: Final = 8_192
_HAS_PATTERNS: Final = re.compile(rb'"pattern|\\u')


class Validator(Protocol):
    def is_valid(self, instance: Any) -> bool: ...
    def validate(self, instance: Any) -> None: ...


def misfit(value: Any, schema: bytes) -> str | None:
    """Why a value does not fit a schema (its JSON): a few words. None when it fits, or when the
    schema cannot be used.
    """
    if len(schema) > SIZE:
        return None
    compiled = _compiled(schema)
    if compiled is None:
        return None
    validator, patterns = compiled
    try:
        if patterns and patterns * len(str(value)) > _MATCHING:
            return None
        if validator.is_valid(value):
            return None
        # Finding the reason takes exponential time in a schema that refers to itself.
        if _ANY_REFERENCE.search(schema):
            return "it does not fit the schema"
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        where = "/".join(map(str, error.instance_path))[:60]
        keyword = error.schema_path[-1] if error.schema_path else "false"
        return f'"{keyword}" is not met' + (f" at {where}" if where else "")
    except ValueError:  # a lone surrogate, which the validator cannot take
        pass
    return None


def usable(schema: bytes) -> bool:
    """Whether a schema can be used: JSON, not too long, and not too costly to apply."""
    return len(schema) <= SIZE and _compiled(schema) is not None


def _compiled(schema: bytes) -> tuple[Validator, int] | None:
    """The validator, and how many patterns it has. Long schemas, and those with patterns, may take
    10 MB each: few of them are cached.
    """
    if len(schema) > _LONG or _HAS_PATTERNS.search(schema):
        return _compiled_large(schema)
    return _compiled_small(schema)


def _compile(schema: bytes) -> tuple[Validator, int] | None:
    try:
        tree = msgspec.json.decode(schema)
        if not isinstance(tree, dict | bool) or _too_costly(tree):
            return None
        patterns = _patterns(tree)
        if len(patterns) > _PATTERNS:
            return None
        options = jsonschema_rs.FancyRegexOptions(
            backtrack_limit=_BACKTRACKS, size_limit=_COMPILED_SIZE // (len(patterns) or 1)
        )
        slow = sum(_LOOKAROUND.search(pattern) is not None for pattern in patterns)
        validator = jsonschema_rs.validator_for(
            tree, offline=True, pattern_options=options, validate_formats=False
        )
    except (msgspec.DecodeError, ValueError, RecursionError, jsonschema_rs.ReferencingError):
        return None
    return validator, len(patterns) + slow * (_SLOW - 1)


_compiled_small: Final = lru_cache(maxsize=256)(_compile)
_compiled_large: Final = lru_cache(maxsize=32)(_compile)


def _patterns(tree: Any) -> set[str]:
    """Those that differ: the same one is compiled once."""
    found: set[str] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            pending += node.values()
            if isinstance(pattern := node.get("pattern"), str):
                found.add(pattern)
            if isinstance(named := node.get("patternProperties"), dict):
                found.update(named)
    return found


def _too_costly(tree: Any) -> bool:
    names = (*_UNBOUNDED, _ID) if _DRAFT_4 in msgspec.json.encode(tree) else _UNBOUNDED
    if any(isinstance(node.get(name), str) for node in _below(tree) for name in names):
        return True
    work, depth, _ = _Scales(tree).weigh(tree)
    return work > WORK or depth > DEPTH


def _below(root: Any) -> Iterator[dict[str, Any]]:
    """The objects in a schema, without itself."""
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, dict) and node is not root:
            yield node
        if isinstance(node, dict | list):
            pending += node.values() if isinstance(node, dict) else node


_Weight = tuple[int, int, int]


class _Scales:
    """How many schemas stand below a node and how deep, local references followed. What the root
    defines counts where it is referred to.

    A reference back to where we are counts nothing: the validator remembers those. Who refers back
    is weighed anew where it is reached by another way, as much more may stand below it there.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[int, tuple[int, int]] = {}
        self._above: dict[int, int] = {}
        """Where we are: the nodes from the root down, each with its place among them."""
        self._steps = _STEPS

    def weigh(self, node: Any) -> _Weight:
        """Work, depth, and the highest place above that it refers back to."""
        place = len(self._above)
        if not isinstance(node, dict | list):
            return 0, 0, place
        if id(node) in self._known:
            return *self._known[id(node)], place
        if id(node) in self._above:
            return 0, 0, self._above[id(node)]
        self._steps -= 1
        if self._steps < 0:
            return WORK + 1, DEPTH + 1, place
        self._above[id(node)] = place
        work, depth, highest = 1, 0, place
        for child in self._applied(node):
            more, deeper, back = self.weigh(child)
            work += more
            depth = max(depth, deeper)
            highest = min(highest, back)
            if work > WORK:
                break
        del self._above[id(node)]
        if highest == place:
            self._known[id(node)] = work, depth + 1
        return work, depth + 1, highest

    def _applied(self, node: dict[str, Any] | list[Any]) -> list[Any]:
        if isinstance(node, list):
            return node
        leaves_out = _DEFINITIONS if node is self._root else ()
        applied = [each for key, each in node.items() if key not in leaves_out]
        reference = node.get("$ref")
        if isinstance(reference, str):
            applied.append(_target(reference, self._root))
        return applied


def _target(reference: str, root: Any) -> Any:
    """What a local reference points to, whatever name of the document it begins with. None for one
    that the validator will not follow either.
    """
    node = root
    for name in unquote(reference.partition("#")[2]).split("/")[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = node.get(key)
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node
