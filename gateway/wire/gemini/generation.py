"""What each generation of Gemini accepts, by the version number in the model's name.

Sources: Google's pages on thinking, thought signatures and structured output. A name of Gemini
without a number (gemini-flash-latest) means the newest. Other names (gemma, a tuned model) are
assumed to accept what the API always had.
"""

import re
from typing import Final

from msgspec import Struct

_VERSION: Final = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?![\d.])")
_NEWEST: Final = (3, 1)
_WHOLE_LIMIT: Final = 32_768


class Generation(Struct, frozen=True):
    budgets: bool = False
    """Accepts a thinking budget (2.5; from 3 on too)."""
    levels: bool = False
    """Accepts thinking levels (3 on)."""
    pro: bool = False
    """Pro: thinking cannot be turned off."""
    minimal: bool = False
    """Accepts the level `minimal` (Flash until 3.6, and all Lite models)."""
    medium: bool = False
    """Accepts the level `medium` (3 Flash, and all from 3.1 on)."""
    needs_signatures: bool = False
    """Refuses function calls without their thought signature (3 on)."""
    draws: bool = False
    """Answers with pictures, and is sent them again."""
    schema_beside_tools: bool = False
    """Accepts a response schema together with functions (3 on)."""
    whole_limit: int | None = None
    """The highest output limit of an answer that is not streamed, in tokens: it answers 400 to one
    above (4 on; Google's page on long decode)."""


def generation(upstream: str) -> Generation:
    """For the provider's model name: gemini-2.5-flash, gemini-3.1-pro-preview, ..."""
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
        draws="-image" in upstream,
        schema_beside_tools=from_3,
        whole_limit=_WHOLE_LIMIT if version >= (4, 0) else None,
    )
