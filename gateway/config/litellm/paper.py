"""What is read from their file, and printed as ours."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from gateway.config.litellm.given import Kind, Note
from gateway.config.nodes import BoundedComposer

_HEAD: Final = "# yaml-language-server: $schema=gateway.schema.json\n"
HEADINGS: Final[Mapping[Kind, str]] = {
    "lost": "Not carried over",
    "changed": "Done in another way",
    "check": "To be looked at",
}


_NO_TYPES: Final = {
    first: [(tag, rule) for tag, rule in rules if tag.endswith((":null", ":merge"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Texts(BoundedComposer, yaml.SafeLoader):
    """Every scalar stays the text it was written as: a price never becomes a float."""

    yaml_implicit_resolvers = _NO_TYPES


class _Plain(yaml.SafeDumper):
    """A number or a truth is written without quotes, since the key decides what it means."""

    yaml_implicit_resolvers = _NO_TYPES

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_texts(text: str) -> dict[str, Any]:
    """Raises ValueError when it is no YAML, or no mapping."""
    try:
        tree = yaml.load(text, Loader=_Texts)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(f"{where}{getattr(error, 'problem', None) or 'it is no YAML'}") from None
    if not isinstance(tree, dict):
        raise ValueError("it is no mapping")  # noqa: TRY004 - of the text, not of a type
    return tree


def join(one: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """As LiteLLM joins files that include one another: lists grow, other values are replaced."""
    both = dict(one)
    for key, value in more.items():
        existing = both.get(key)
        if isinstance(existing, dict) and isinstance(value, dict):
            both[key] = {**existing, **value}
        elif isinstance(existing, list) and isinstance(value, list):
            both[key] = [*existing, *value]
        else:
            both[key] = value
    return both


def render(config: Mapping[str, Any], notes: Iterable[Note], source: str) -> str:
    """The YAML, with the list as comments at its top."""
    header = [f"# Imported from {source}."]
    for heading, lines in listing(notes):
        header += ["#", f"# {heading}:", *(f"#   {line}" for line in lines)]
    parts = []
    for name, section in config.items():
        # Entries of a section stand by name, what is in them on lines as short as they fit.
        parts.append(
            yaml.dump(
                {name: section},
                Dumper=_Plain,
                sort_keys=False,
                default_flow_style=None,
                width=200,
                allow_unicode=True,
            )
        )
    return _HEAD + "\n".join(header) + "\n\n" + "\n".join(parts)


def listing(notes: Iterable[Note]) -> list[tuple[str, list[str]]]:
    """Headings with their lines; one that has none is left out."""
    every = tuple(notes)
    found = [(text, [str(n) for n in every if n.kind == kind]) for kind, text in HEADINGS.items()]
    return [(heading, lines) for heading, lines in found if lines]
