"""Values of a report as they are printed: none of their brackets is rich's markup."""

from typing import Any

from rich.markup import escape


def escaped(value: Any) -> Any:
    """The same JSON value, with each of its texts escaped: a client may have sent them."""
    match value:
        case str():
            return escape(value)
        case dict():
            return {name: escaped(each) for name, each in value.items()}
        case list():
            return [escaped(each) for each in value]
        case _:
            return value
