"""`tollgate import litellm`: their files in, our YAML and a list of what is not in it out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from gateway.commands.shipped import shipped
from gateway.config.litellm.given import Note
from gateway.config.litellm.paper import joined, page, read_texts
from gateway.config.litellm.translate import translate
from gateway.config.prices import look_up

_DEEPEST: Final = 8
"""Files that include one another."""


class Unreadable(Exception):
    """A file that is not there, or is no configuration."""


class Told(Struct, frozen=True):
    yaml: str
    notes: tuple[Note, ...]


def run(files: Sequence[Path], env: Mapping[str, str]) -> Told:
    """Raises ConfigError, Unreadable."""
    source: dict[str, Any] = {}
    for file in files:
        source = joined(source, _read(file))
    if not source.get("model_list"):
        raise Unreadable(f"{files[0]}: it has no model_list: it is no configuration of LiteLLM")
    found = translate(source, _ready(), look_up, env)
    if not found.config.get("models"):
        lost = "; ".join(str(note) for note in found.notes if note.kind == "lost")
        raise Unreadable(f"{files[0]}: no model of it can be asked here: {lost}")
    names = ", ".join(file.name for file in files)
    return Told(page(found.config, found.notes, names), found.notes)


def _read(file: Path, depth: int = 0) -> dict[str, Any]:
    """With the files that it includes, whose paths begin where it is."""
    try:
        found = read_texts(file.read_text("utf-8-sig"))
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror or error}") from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise Unreadable(f"{file}: {error}") from None
    more = found.pop("include", None) or []
    if depth == _DEEPEST:
        raise Unreadable(f"{file}: files include one another too deeply")
    for each in more if isinstance(more, list) else [more]:
        found = joined(found, _read(file.parent / str(each), depth + 1))
    return found


def _ready() -> Mapping[str, Mapping[str, Any]]:
    """The providers that come with the gateway."""
    text = shipped("providers.yaml").read_text("utf-8")
    providers: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)["providers"]
    return providers
