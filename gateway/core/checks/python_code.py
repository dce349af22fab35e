"""Python that parses. It is parsed, never run."""

import ast
import warnings
from collections.abc import Mapping
from textwrap import dedent
from typing import Any, Final

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.fences import fences
from gateway.core.checks.tools import only_calls

SIZE: Final = 50_000
"""Characters. The parser takes about 1 ms for a thousand; longer text is not parsed, and fails."""
_TAGS: Final = ("python", "py", "python3")
_UNTAGGED: Final = ("", "text", "plaintext")
_SHELL: Final = (">>>", "$ ", "!", "%", "pip ", "python ", "python3 ")
"""How the lines of a session, and a notebook's commands, begin: they are in such blocks, too."""
_DEFINES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def python(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The text's fenced blocks of Python parse; without a fence, the whole text does."""
    text = choice.text or ""
    if only_calls(choice):
        return None
    if len(text) > SIZE:
        return f"it is longer than {SIZE} characters, and is not parsed"
    blocks = fences(text)
    tagged = [body for tag, body in blocks if tag in _TAGS]
    loose = [body for tag, body in blocks if tag in _UNTAGGED]
    trees = [_parsed(body) for body in tagged or loose or [text]]
    sound = [tree for tree in trees if tree is not None]
    # Blocks without a tag are often what a program prints.
    if not sound or (tagged and len(sound) < len(trees)):
        return "its Python does not parse" if blocks else "there is no Python that parses in it"
    name = options.get("defines")
    if name is not None and not any(_defines(tree, name) for tree in sound):
        return f"it does not define {name[:64]}"
    return None


def _parsed(code: str) -> ast.Module | None:
    if code.lstrip().startswith(_SHELL):
        lines = (line for line in code.splitlines() if not line.lstrip().startswith(_SHELL))
        code = "" if code.lstrip().startswith(">>>") else "\n".join(lines)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in a text is no reason
            return ast.parse(dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defines(tree: ast.Module, name: str) -> bool:
    return any(isinstance(node, _DEFINES) and node.name == name for node in ast.walk(tree))
