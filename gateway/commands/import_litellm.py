"""`tollgate import litellm`: their files to our YAML, and a list of what is not in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from gateway.commands.options import readable
from gateway.commands.shipped import shipped
from gateway.config.litellm.given import Note
from gateway.config.litellm.paper import join, read_texts, render
from gateway.config.litellm.translate import translate
from gateway.config.prices import look_up

_DEEPEST: Final = 8
"""Levels of files that include one another."""


class Unreadable(Exception):
    """A file that does not exist, or is not a configuration."""


class ImportResult(Struct, frozen=True):
    yaml: str
    notes: tuple[Note, ...]


def run(files: Sequence[Path], env: Mapping[str, str]) -> ImportResult:
    """Raises ConfigError, Unreadable."""
    source: dict[str, Any] = {}
    for file in files:
        source = join(source, _read(file))
    if not source.get("model_list"):
        raise Unreadable(f"{files[0]}: it has no model_list: it is no configuration of LiteLLM")
    translated = translate(source, _shipped("providers"), _shipped("models"), look_up, env)
    if not translated.config.get("models"):
        lost = "; ".join(str(note) for note in translated.notes if note.kind == "lost")
        raise Unreadable(f"{files[0]}: no model of it can be asked here: {lost}")
    names = readable(", ".join(file.name for file in files))
    return ImportResult(render(translated.config, translated.notes, names), translated.notes)


def _read(file: Path, depth: int = 0) -> dict[str, Any]:
    """A file joined with those it includes, whose paths are relative to it."""
    try:
        tree = read_texts(file.read_text("utf-8-sig"))
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror or error}") from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise Unreadable(f"{file}: {error}") from None
    included = tree.pop("include", None) or []
    if depth == _DEEPEST:
        raise Unreadable(f"{file}: files include one another too deeply")
    for each in included if isinstance(included, list) else [included]:
        tree = join(tree, _read(file.parent / str(each), depth + 1))
    return tree


def _shipped(section: str) -> Mapping[str, Mapping[str, Any]]:
    """The providers, or the models, that come with the gateway."""
    text = shipped(f"{section}.yaml").read_text("utf-8")
    entries: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)[section]
    return entries
