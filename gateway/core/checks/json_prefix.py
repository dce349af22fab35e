"""JSON that is still being written: whether it can still become what tolerant_json reads."""

import re
from typing import Final, Literal

from gateway.core.checks.tolerant_json import DEPTH

Standing = Literal["open", "whole", "broken"]

_BLANK: Final = " \t\r\n"
_RUN: Final = re.compile(r'[^"\\]+')
_NUMERIC: Final = re.compile(r"[-+.0-9eE]+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_LITERALS: Final = ("true", "false", "null")
_CLOSERS: Final = {"{": "}", "[": "]"}


class JsonPrefix:
    """Of a text that begins with { or [. `standing` is "whole" once its first value is, whatever
    comes after it, and "broken" when nothing that comes can mend it.

    It takes what the tolerant reader does: raw line breaks in strings, stray backslashes.
    """

    def __init__(self) -> None:
        self.standing: Standing = "open"
        self._stack: list[str] = []
        self._await = "value"
        """What comes next: value, first_value, key, first_key, colon or more; or the rest of a
        string, or of a token, which is a number or a literal."""
        self._token = ""
        """What has come of a number or a literal."""
        self._is_key = False
        self._left = ""
        """An escape that is not whole yet."""

    def feed(self, text: str) -> None:
        text, self._left = self._left + text, ""
        at = 0
        while at < len(text) and self.standing == "open":
            if self._await == "string":
                at = self._string(text, at)
            elif self._await == "token":
                at = self._go_on(text, at)
            elif text[at] in _BLANK:
                at += 1
            else:
                self._step(text[at])
                at += 1

    def _step(self, char: str) -> None:
        """One character outside of strings, numbers and literals."""
        awaited = self._await
        if char == '"' and awaited not in ("colon", "more"):
            self._is_key = awaited in ("key", "first_key")
            self._await = "string"
        elif awaited in ("value", "first_value") and char in "{[":
            self._stack.append(_CLOSERS[char])
            self._await = "first_key" if char == "{" else "first_value"
            if len(self._stack) > DEPTH:
                self.standing = "broken"
        elif awaited in ("more", "first_value", "first_key") and char == self._stack[-1]:
            self._stack.pop()
            self._value_ended()
        elif awaited == "more" and char == ",":
            self._await = "key" if self._stack[-1] == "}" else "value"
        elif awaited == "colon" and char == ":":
            self._await = "value"
        elif awaited in ("value", "first_value") and (char in "-0123456789tfn"):
            self._token, self._await = char, "token"
        else:
            self.standing = "broken"

    def _value_ended(self) -> None:
        """A value is whole."""
        self._await = "more"
        if not self._stack:
            self.standing = "whole"

    def _string(self, text: str, at: int) -> int:
        """To the end of the string, or of what has come of it."""
        run = _RUN.match(text, at)
        if run is not None:
            return run.end()
        if text[at] == '"':
            if self._is_key:
                self._await = "colon"
            else:
                self._value_ended()
            return at + 1
        if at + 1 == len(text):
            self._left = "\\"
            return len(text)
        # A stray backslash stands for itself; of \u0041 the digits are as good as letters.
        return at + (2 if text[at + 1] in '"\\/bfnrt' else 1)

    def _go_on(self, text: str, at: int) -> int:
        """To the end of a number or a literal."""
        if self._token[0] in "tfn":
            self._token += text[at]
            if self._token in _LITERALS:
                self._value_ended()
            elif not any(word.startswith(self._token) for word in _LITERALS):
                self.standing = "broken"
            return at + 1
        run = _NUMERIC.match(text, at)
        if run is not None:
            self._token += run[0]
            return run.end()
        if _NUMBER.fullmatch(self._token) is None:
            self.standing = "broken"
        else:
            self._await = "more"
        return at
