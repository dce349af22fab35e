"""The fenced blocks of code in an answer."""

import re
from typing import Final

_BLOCK: Final = re.compile(r"```[ \t]*+([\w+-]*+)[^\n`]*+\n(.*?)(?:```|\Z)", re.DOTALL)
"""What stands behind the first mark, up to the end of its line, is read once: a model that repeats
itself without end may write a line of thousands of letters or marks there.
"""


def fences(text: str) -> list[tuple[str, str]]:
    """(tag in lower case, what is inside) of each; the last may be open."""
    return [(fence[1].lower(), fence[2]) for fence in _BLOCK.finditer(text)]
