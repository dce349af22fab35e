"""A section of theirs. Keys that nobody takes from it are reported: nothing is lost silently."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.config.faults import quoted_if_needed, safe_key
from gateway.core.redaction import without_keys

Kind = Literal["lost", "changed", "check"]
"""Has no place here; is done in another way; is a guess, or needs a hand."""
_FROM_ENV: Final = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_LONGEST: Final = 64
"""Characters of a key of theirs."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._:@+-]+", re.ASCII)


class Note(Struct, frozen=True):
    """`path` is its place in their file, such as `model_list[2].litellm_params.rpm`."""

    kind: Kind
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Notes:
    """What is to be reported, in order, each once."""

    def __init__(self) -> None:
        self._all: dict[Note, None] = {}

    def add(self, kind: Kind, path: str, text: str) -> None:
        self._all[Note(kind, _shown(path), _shown(text))] = None

    def all(self) -> tuple[Note, ...]:
        return tuple(self._all)


def _shown(text: str) -> str:
    """On one line, as it becomes a comment, and without what looks like a key."""
    return without_keys("".join(char if char.isprintable() else " " for char in text))


class Section:
    """`values` has texts, lists and mappings, as the YAML wrote them; None is nothing."""

    def __init__(self, values: object, path: str) -> None:
        self.path = path
        self._values = dict(values) if isinstance(values, Mapping) else {}
        self._parts: list[Section] = []
        self._odd = not isinstance(values, Mapping) and values is not None
        self._places: dict[str, str] = {}

    def at(self, key: str) -> str:
        if key in self._places:
            return self._places[key]
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        return self._values.get(key) is not None

    def take(self, key: str) -> Any:
        return self._values.pop(key, None)

    def text(self, *keys: str) -> str | None:
        """The first of these keys that is a text. A list or a mapping stays, and is reported."""
        for key in keys:
            if isinstance(self._values.get(key), str):
                return str(self._values.pop(key))
        return None

    def fill(self, other: "Section") -> None:
        """What another section has and this one has not. It is reported at its own place."""
        for key, value in other._values.items():  # noqa: SLF001 - of the same class
            if self._values.get(key) is None:
                self._values[key] = value
                self._places[key] = other.at(key)

    def number(self, *keys: str, least: int = 0) -> Decimal | None:
        """What is not a number, or is less, stays, and is reported."""
        for key in keys:
            value = self._values.get(key)
            try:
                parsed = Decimal(value.replace("_", "")) if isinstance(value, str) else None
            except InvalidOperation:
                continue
            if parsed is not None and parsed.is_finite() and parsed >= least:
                del self._values[key]
                return parsed
        return None

    def count(self, *keys: str) -> int | None:
        """A whole number above 0."""
        number = self.number(*keys, least=1)
        return None if number is None else int(number)

    def flag(self, key: str) -> bool | None:
        value = self._values.get(key)
        if isinstance(value, str) and value.lower() in {"true", "false", "yes", "no", "on", "off"}:
            del self._values[key]
            return value.lower() in {"true", "yes", "on"}
        return None

    def part(self, key: str) -> "Section":
        """The mapping there, empty when there is none; `unread` has its keys, too."""
        part = Section(self._values.pop(key, None), self.at(key))
        self._parts.append(part)
        return part

    def parts(self, key: str) -> "list[Section]":
        """Of a list of mappings."""
        items = self._values.get(key)
        if not isinstance(items, list):
            return []
        del self._values[key]
        parts = [Section(each, f"{self.at(key)}[{i}]") for i, each in enumerate(items)]
        self._parts += parts
        return parts

    def discard(self) -> None:
        """Report nothing more of it: one note covers all."""
        self._values.clear()
        self._parts.clear()
        self._odd = False

    def unread(self) -> Iterator[str]:
        """The paths of the keys that nobody took."""
        if self._odd:
            yield self.path
        for key, value in self._values.items():
            if value not in (None, [], {}):
                shown = quoted_if_needed(safe_key(str(key), _LONGEST))
                yield self._places.get(key) or self.at(shown)
        for part in self._parts:
            yield from part.unread()


def variable(value: str) -> str | None:
    """The environment variable that `os.environ/NAME` is."""
    match = _FROM_ENV.fullmatch(value)
    return match[1] if match else None


def reference(value: str) -> str:
    """As we write it: `${NAME}`, or the text itself."""
    name = variable(value)
    return value.replace("${", "$${") if name is None else f"${{{name}}}"


def valid_name(name: str) -> str:
    """A name with the characters that one may have here."""
    return _UNFIT.sub("-", name).strip("-._:@+")[:128] or "unnamed"
