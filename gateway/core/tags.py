"""Tags for chargeback: what a client says a request is for."""

from collections.abc import Mapping
from typing import Final

from gateway.core.redaction import keyless

OTHER: Final = "other"
"""What stands for a value that the configuration does not list."""
MOST: Final = 16
LONGEST: Final = 128
"""Characters of a tag's name, and of its value."""

Known = Mapping[str, tuple[str, ...]]
"""The configured tags with their values, of which there are few: only these may be labels.
One without values takes any, and is no label."""


def tagged(given: Mapping[str, str], known: Known) -> Mapping[str, str]:
    """A request's tags as they are recorded: a value outside its configured set is "other", and
    one that holds what looks like a key is a hash.
    """
    return {
        keyless(name): keyless(value)
        if not (values := known.get(name)) or value in values
        else OTHER
        for name, value in given.items()
    }


def labelled(tags: Mapping[str, str], known: Known) -> Mapping[str, str]:
    """The tags that may be labels: a configured one that is missing is ""."""
    return {name: tags.get(name, "") for name, values in known.items() if values}
