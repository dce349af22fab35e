"""`${NAME}` and `${NAME:-default}` in a text, from the environment that is passed in."""

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{", re.ASCII
)


def interpolate(text: str, env: Mapping[str, str]) -> tuple[str, bool, list[str]]:
    """The text with its references replaced, whether there were any, and what is wrong.

    A default stands in for a variable that is not set or empty. `$${` is a plain `${`.
    """
    used = False
    problems: list[str] = []

    def replace(found: re.Match[str]) -> str:
        nonlocal used
        if found[0] == "$${":
            return "${"
        used = True
        name, default = found["name"], found["default"]
        if name is None:
            problems.append("must write ${NAME} or ${NAME:-default}, or $${ for a plain ${")
            return ""
        value = env.get(name)
        if default is not None:
            return value or default
        if value is None:
            problems.append(f"environment variable {name} is not set")
            return ""
        return value

    return _REFERENCE.sub(replace, text), used, problems
