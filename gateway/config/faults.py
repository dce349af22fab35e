"""What is wrong with a configuration: every fault at once, each with its place."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from gateway.core.redaction import without_keys

Path = tuple[str | int, ...]
"""Where in the configuration: ("tenants", "acme", "budgets", 0, "per")."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_@:+-][A-Za-z0-9_@:+.-]*", re.ASCII)
_LONGEST_SHOWN: Final = 60
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_UNSHOWN: Final = "..."


class Place(Struct, frozen=True):
    """Line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Fault(Struct, frozen=True):
    """`line` and `column` are None when a file as a whole is at fault."""

    file: str
    line: int | None
    column: int | None
    path: str
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used. `str` is one line a fault and shows no secret."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def dotted(path: Path) -> str:
    """("tenants", "acme", "budgets", 0) as `tenants.acme.budgets[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{quoted_if_needed(step)}" if text else quoted_if_needed(step)
    return text


def safe_key(key: str, longest: int = 32) -> str:
    """An unknown key, as it may be shown: one that is not a plain word may be part of a URL, with
    its password, that was split at a colon.
    """
    return key if len(key) <= longest and _KEY.fullmatch(key) else _UNSHOWN


def quoted_if_needed(name: str) -> str:
    """A name or a key, in quotes where it has more than letters, digits and the like."""
    shown = quoted(name)
    return name if _PLAIN.fullmatch(name) and shown[1:-1] == name else shown


def quoted(text: str) -> str:
    """In double quotes, on one line, and not too long; "..." for an address, or what looks like a
    key: it may be a secret in the wrong place.
    """
    if "://" in text or without_keys(text) != text:
        text = _UNSHOWN
    if len(text) > _LONGEST_SHOWN:
        text = text[:_LONGEST_SHOWN] + "..."
    return f'"{text}"' if text.isprintable() and '"' not in text else json.dumps(text)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`; did you mean x?` when something known is close, else nothing."""
    close = closest(wrong, known)
    return f"; did you mean {close}?" if close else ""


def closest(wrong: str, known: Iterable[str]) -> str | None:
    """The known name that is most like it, if any is."""
    close = difflib.get_close_matches(wrong[:_LONGEST_SHOWN], list(known), n=1)
    return close[0] if close else None


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, or `none` when there are none; long lists are cut."""
    shown = sorted(names)
    if len(shown) > 20:
        shown = [*shown[:20], "..."]
    return ", ".join(n if n == "..." else quoted_if_needed(n) for n in shown) or "none"
