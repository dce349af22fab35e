"""Limits on stream bytes and events without content, so that a broken provider cannot keep a
worker busy: 64 MiB of line breaks take seconds. No provider sends a hundredth of this.
"""

from typing import Final

from gateway.core.errors import Broken

MAX_SILENT_BYTES: Final = 2 * 1024 * 1024
"""Of comments, empty lines and other lines that are not data, in one stream."""
MAX_SILENT_EVENTS: Final = 2**16
"""Events of one stream that give no delta. Some hosts send an empty one for each token of hidden
reasoning.
"""


def silent_stream() -> Broken:
    return Broken("the provider's stream goes on and says nothing")


def count_silent_event(events: int) -> int:
    """The count plus one. Raises Broken beyond MAX_SILENT_EVENTS."""
    if events >= MAX_SILENT_EVENTS:
        raise silent_stream()
    return events + 1
