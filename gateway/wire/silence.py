"""How much of a stream may say nothing before its provider is taken for broken.

Reading what says nothing is cheap, and not free: 64 MiB of line breaks would keep a worker busy
for seconds. No provider sends a hundredth of this.
"""

from typing import Final

from gateway.core.errors import Broken

MAX_SILENT_BYTES: Final = 2 * 1024 * 1024
"""Of comments, empty lines, and lines beside the data of an event, in one stream."""
MAX_SILENT_EVENTS: Final = 2**16
"""That are read, and give no delta, in one stream. Some hosts send an empty one for each token
of a thought that they do not show.
"""


def silent_stream() -> Broken:
    return Broken("the provider's stream goes on and says nothing")


def count_silent_event(events: int) -> int:
    """The count of events that said nothing, this one among them. Raises Broken."""
    if events >= MAX_SILENT_EVENTS:
        raise silent_stream()
    return events + 1
