"""What each generation of Gemini accepts, told by the number in a model's name.

Sources: Google's pages on thinking, thought signatures and structured output. A name of Gemini
without a number (gemini-flash-latest) is of the newest; a name that is not Gemini's (gemma, a
tuned model) is taken to accept what the API always had.
"""

import re
from typing import Final

from msgspec import Struct

_VERSION: Final = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?![\d.])")
_NEWEST: Final = (3, 1)


class Generation(Struct, frozen=True):
    budgets: bool = False
    """Thinks by a budget of tokens (2.5; accepted from 3 on too)."""
    levels: bool = False
    """Thinks by levels (3 on)."""
    pro: bool = False
    """Cannot be kept from thinking."""
    minimal: bool = False
    """Knows the level below `low` (Flash until 3.6, and all that are Lite): others refuse it."""
    medium: bool = False
    """Knows the level between `low` and `high` (3 Flash, and all from 3.1 on)."""
    needs_signatures: bool = False
    """Refuses a function call that comes back without its signature (3 on)."""
    schema_beside_tools: bool = False
    """Takes a response schema together with functions (3 on)."""


def generation(upstream: str) -> Generation:
    """By the provider's name for the model: gemini-2.5-flash, gemini-3.1-pro-preview, ..."""
    if "gemini" not in upstream:
        return Generation()
    match = _VERSION.search(upstream)
    version = (int(match[1]), int(match[2] or 0)) if match else _NEWEST
    pro = "-pro" in upstream
    from_3 = version >= (3, 0)
    return Generation(
        budgets=version >= (2, 5),
        levels=from_3 and match is not None,
        pro=pro,
        minimal=not pro and (version < (3, 7) or "-lite" in upstream),
        medium=not pro or version >= (3, 1),
        needs_signatures=from_3,
        schema_beside_tools=from_3,
    )
