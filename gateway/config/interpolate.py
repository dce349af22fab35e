"""`${NAME}` and `${NAME:-default}` in a text, from the environment that is passed in."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

_REFERENCE: Final = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{", re.ASCII
)


class Interpolated(Struct):
    """A text with its references replaced. `missing` are variables that are not set, or empty,
    and have no default; `problems` say what is wrong.
    """

    text: str = ""
    used: bool = False
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def interpolate(text: str, env: Mapping[str, str], stand_in: str | None = None) -> Interpolated:
    """A default stands in for a variable that is not set or empty; where there is none,
    `stand_in` does. `$${` is a plain `${`.
    """
    result = Interpolated()

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        result.used = True
        name, default = match["name"], match["default"]
        if name is None:
            result.problems.append("must write ${NAME} or ${NAME:-default}, or $${ for a plain ${")
            return ""
        value = env.get(name)
        if default is not None and "${" in default:  # it ends at the first }, the rest would stay
            result.problems.append(
                f"must write a text as the default of {name}, not another ${{NAME}}"
            )
            return ""
        if default is not None:
            return value or default
        if not value:
            result.missing.append(name)
            if stand_in is not None:
                return stand_in
        if value is None:
            result.problems.append(f"environment variable {name} is not set")
            return ""
        return value

    result.text = _REFERENCE.sub(replace, text)
    return result
