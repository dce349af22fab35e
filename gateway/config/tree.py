"""YAML text to plain values that remember where they stood.

Every scalar stays the text it was written as; the schema, not YAML, decides what it means. So
`no` is a region if a region is wanted, and a price never becomes a float.
"""

import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, Final

import yaml
from msgspec import Struct, field

from gateway.config.faults import ConfigError, Fault, Path, Place, dotted
from gateway.config.interpolate import interpolate
from gateway.config.nodes import MAX_DEPTH, compose

MAX_REPEATED: Final = 50_000
"""Nodes that aliases repeat: they can make a small text endless."""
_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))


class Empty(Enum):
    """A key, or an item of a list, that was written without a value."""

    EMPTY = "nothing"


EMPTY: Final = Empty.EMPTY


class Tree(Struct):
    """Values are texts, EMPTY, lists and dicts; the places of keys and values are by path.

    `masked` are the paths whose text came from the environment, never to be shown; `broken`
    those that are at fault already and need no second fault; `missing` the variables that a path
    lacks. `left_out` are the optional providers that lack some, and why. `doubts` are paths whose
    value is at fault, or perhaps written under another key: nothing can be judged by them.
    """

    root: dict[str, Any]
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    masked: set[Path] = field(default_factory=set)
    broken: set[Path] = field(default_factory=set)
    missing: dict[Path, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    doubts: set[Path] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    files: tuple[str, ...] = ()

    def keep_only(self, sections: Collection[str]) -> None:
        """Forget all others, and what is wrong with them."""
        self.root = {name: entry for name, entry in self.root.items() if name in sections}
        self.keys = {path: place for path, place in self.keys.items() if path[0] in sections}
        self.values = {path: place for path, place in self.values.items() if path[0] in sections}
        self.faults = [f for f in self.faults if f.path.partition(".")[0] in sections]

    def written_part(self, path: Path) -> Path:
        """The part of a path that was written."""
        while path and path not in self.values:
            path = path[:-1]
        return path

    def at(self, path: Path) -> Any:
        """The value at a path that was written."""
        value: Any = self.root
        for step in path:
            value = value[step]
        return value

    def doubtful(self, *paths: Path) -> bool:
        """Whether there is a doubt at, above or below one of these paths."""
        return any(
            path[: len(doubt)] == doubt[: len(path)] for doubt in self.doubts for path in paths
        )

    def sound_items(self, path: Path) -> list[Path]:
        """The items of a list that were written and are not doubted."""
        items = (
            self.at(path) if self.written_part(path) == path and path not in self.doubts else None
        )
        number = len(items) if isinstance(items, list) else 0
        return [here for i in range(number) if (here := (*path, i)) not in self.doubts]

    def showable(self, texts: Collection[str]) -> list[str]:
        """Without those that came from the environment."""
        hidden = [self.at(path) for path in self.masked if self.written_part(path) == path]
        return [text for text in texts if text not in hidden]

    def place(self, path: Path) -> Place | None:
        """A scalar's own place; for a list or a mapping, that of its key."""
        path = self.written_part(path)
        if path in self.keys and isinstance(self.at(path), list | dict):
            return self.keys[path]
        return self.values.get(path)

    def fault(self, path: Path, message: str, place: Place | None = None) -> None:
        """Note a fault; a path that was never written is reported where it should have been."""
        where = place or self.place(path)
        if where is None:
            file = self.files[0] if self.files else "config"
            self.faults.append(Fault(file, None, None, dotted(path), message))
        else:
            self.faults.append(Fault(where.file, where.line, where.column, dotted(path), message))


def parse(file: str, text: str, env: Mapping[str, str], stand_in: str | None = None) -> Tree:
    """One file. Raises ConfigError for what is not YAML; other faults are in the tree.

    `stand_in` replaces variables that providers lack.
    """
    try:
        node = compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        message = f"is not valid YAML: {_problem(error)}"
        if line is not None and "got '{'" in message and "${" in text.split("\n")[line - 1]:
            message += "; between brackets ${NAME} needs quotes"
        raise ConfigError([Fault(file, line, column, "", message)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = "is not valid YAML: a control character is not allowed"
        raise ConfigError([Fault(file, line, None, "", message)]) from None
    tree = Tree({}, files=(file,))
    if node is None:
        return tree
    if not isinstance(node, yaml.MappingNode):
        message = "must be a mapping with keys such as providers, models, tenants"
        raise ConfigError([Fault(file, node.start_mark.line + 1, None, "", message)])
    tree.root = _Reader(file, env, tree, stand_in).mapping(node, ())
    return tree


class _Reader:
    """Turns composed nodes into the values of one tree."""

    def __init__(self, file: str, env: Mapping[str, str], tree: Tree, stand_in: str | None) -> None:
        self.file, self.env, self.tree, self.stand_in = file, env, tree, stand_in
        self.known: set[int] = set()
        self.repeated = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.repeated += id(node) in self.known
        self.known.add(id(node))
        place = _place(self.file, node)
        if len(path) > MAX_DEPTH or self.repeated > MAX_REPEATED:
            message = "nested too deeply, or repeated too often, by aliases"
            fault = Fault(self.file, place.line, place.column, dotted(path[:3]), message)
            raise ConfigError([*self.tree.faults, fault])
        self.tree.values[path] = place
        if node.tag not in _TAGS:
            self.tree.broken.add(path)
            self.tree.fault(path, "must not have a YAML tag (!...)", place)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self.scalar(node, path, place) if isinstance(node, yaml.ScalarNode) else EMPTY

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for key, value in node.value:
            place = _place(self.file, key)
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                self.tree.fault(path, "a key must be a text", place)
                continue
            name = key.value
            here = (*path, name)
            if name == "<<":
                self.tree.fault(path, "merge keys (<<) are not supported; write it out", place)
                self.tree.doubts.add(path)  # what is missing may be in what would be merged
            elif name in entries:
                self.tree.fault(
                    here, f"is already given in line {self.tree.keys[here].line}", place
                )
            else:
                self.tree.keys[here] = place
                entries[name] = self.value(value, here)
        return entries

    def scalar(self, node: yaml.ScalarNode, path: Path, place: Place) -> str | Empty:
        if node.style is None and node.value in _NULLS:
            return EMPTY
        interpolated = interpolate(
            node.value, self.env, self.stand_in if path[:1] == ("providers",) else None
        )
        if interpolated.used:
            self.tree.masked.add(path)
        if interpolated.missing:
            self.tree.missing[path] = interpolated.missing
        for problem in interpolated.problems:
            self.tree.broken.add(path)
            self.tree.fault(path, problem, place)
        try:
            return _paired(interpolated.text)
        except UnicodeError:
            self.tree.broken.add(path)
            self.tree.fault(path, "has half of a character (\\uD800 to \\uDFFF)", place)
            return interpolated.text


def _paired(text: str) -> str:
    """Of two escapes for one character, as JSON writes an emoji, one is made. Raises UnicodeError
    for half of one.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def merge(trees: list[Tree]) -> Tree:
    """Several files as one: sections are joined, an entry given twice is a fault."""
    whole = Tree({}, files=tuple(file for tree in trees for file in tree.files))
    for tree in trees:
        whole.faults += tree.faults
        duplicates = _join(whole, tree)
        for mine, theirs in ((whole.keys, tree.keys), (whole.values, tree.values)):
            for path, place in theirs.items():
                if path[:1] not in duplicates and path[:2] not in duplicates:
                    mine.setdefault(path, place)
        whole.masked |= tree.masked
        whole.broken |= tree.broken
        whole.missing |= tree.missing
        whole.doubts |= tree.doubts
    return whole


def _join(whole: Tree, tree: Tree) -> set[Path]:
    """Add the entries of a tree to `whole`; returns the paths that were there before."""
    duplicates: set[Path] = set()
    for section, entries in tree.root.items():
        present = whole.root.get(section)
        if present is None or (present is EMPTY and isinstance(entries, dict)):
            # A copy, since another file may add to it; EMPTY and texts are not copied.
            whole.root[section] = dict(entries) if isinstance(entries, dict) else entries
        elif isinstance(present, dict) and isinstance(entries, dict):
            for name, entry in entries.items():
                path = (section, name)
                if name in present:
                    duplicates.add(path)
                    whole.fault(path, f"is already given in {whole.keys[path]}", tree.keys[path])
                else:
                    present[name] = entry
        elif entries is not EMPTY or not isinstance(present, dict | Empty):
            duplicates.add((section,))
            place = whole.keys[section,]
            whole.fault((section,), f"is already given in {place}", tree.keys[section,])
    return duplicates


def _place(file: str, node: yaml.Node) -> Place:
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)


def _problem(error: yaml.MarkedYAMLError) -> str:
    """The YAML reader's words, without those it quotes: an alias may be a secret not quoted."""
    problem = error.problem or "unreadable"
    if problem.startswith("but "):
        problem = f"{error.context} {problem}"

    def keep(match: re.Match[str]) -> str:
        word = match[0][1:-1]
        return match[0] if len(word) <= 2 or word.startswith("<") else ""

    words = re.sub(r"""'[^']*'|"[^"]*\"""", keep, problem)
    return " ".join(words.split())
