"""Python that parses. It is parsed, never run."""

import ast
import warnings
from collections.abc import Mapping
from textwrap import dedent
from typing import Any, Final

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.fences import fences
from gateway.core.checks.tools import calls_tool

SIZE: Final = 50_000
"""Characters. The parser takes about 1 ms for a thousand; longer text is not parsed, and fails."""
_TAGS: Final = ("python", "py", "python3", "py3", "ipython", "pycon")
_UNTAGGED: Final = ("", "text", "plaintext")
_PROMPT: Final = ">>>"
"""How the lines of a session begin: what is printed stands between them."""
_COMMANDS: Final = ("$ ", "!", "%", "pip ", "python ", "python3 ")
"""How commands of a shell or a notebook begin: they are in such blocks, too."""
_NOTHING: Final = ast.Module([], [])
_OF_WORDS: Final = (
    ast.And, ast.Attribute, ast.BinOp, ast.BoolOp, ast.Compare, ast.Constant, ast.Expr, ast.In,
    ast.Is, ast.IsNot, ast.Name, ast.Not, ast.NotIn, ast.Or, ast.Sub, ast.Tuple, ast.UnaryOp,
    ast.USub, ast.expr_context,
)  # fmt: skip
_DEFINES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def python(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The text's fenced blocks of Python parse; without a fence, the whole text does."""
    text = choice.text or ""
    if calls_tool(choice):
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
    if not (blocks or _is_command(text)) and _only_words(sound[0]):
        return "there is no Python that parses in it"
    name = options.get("defines")
    if name is not None and not any(_defines(tree, name) for tree in sound):
        return f"it does not define {name[:64]}"
    return None


def _parsed(code: str) -> ast.Module | None:
    """Without the commands among it, where it does not parse with them."""
    tree = _tree(code)
    if tree is not None:
        return tree
    lines = code.splitlines()
    if any(line.lstrip().startswith(_PROMPT) for line in lines):
        return _NOTHING
    left = [line for line in lines if not _is_command(line)]
    return _tree("\n".join(left)) if len(left) < len(lines) else None


def _tree(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in a text is no reason
            return ast.parse(dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_command(code: str) -> bool:
    """Whether it begins as a session or a command."""
    return code.lstrip().startswith((_PROMPT, *_COMMANDS))


def _only_words(tree: ast.Module) -> bool:
    """Whether it is nothing, or "Paris", "Answer: Paris", "well-known": what parses by chance."""
    return all(
        isinstance(node, _OF_WORDS) or (isinstance(node, ast.AnnAssign) and node.value is None)
        for statement in tree.body
        for node in ast.walk(statement)
    )


def _defines(tree: ast.Module, name: str) -> bool:
    return any(isinstance(node, _DEFINES) and node.name == name for node in ast.walk(tree))
