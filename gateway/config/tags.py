"""The configured tags: `any`, or the values that each may have."""

from typing import Annotated, Final

from pydantic import PlainValidator, WithJsonSchema

from gateway.config.scalars import invalid, invalid_hidden, one_of, text
from gateway.core.tags import LONGEST

ANY: Final = "any"
MOST_VALUES: Final = 100
"""Of a tag: each makes series of metrics."""


def tag_value(value: object) -> str:
    tag = text(value)
    if len(tag) > LONGEST:
        raise invalid(f"must be of at most {LONGEST} characters")
    return tag


def tag_values(value: object) -> tuple[str, ...]:
    """() for `any`. The items of a list are looked at by `tag_value`."""
    if not isinstance(value, list):
        one_of((ANY,), f"must be a list of values, or {ANY}")(value)
        return ()
    if not value:
        raise invalid_hidden(f"must not be empty; write {ANY} for all values")
    if len(value) > MOST_VALUES:
        raise invalid_hidden(
            f"must have at most {MOST_VALUES} values; {ANY} takes more, and is no label"
        )
    return tuple(str(each) for each in value)


TagValues = Annotated[
    tuple[str, ...],
    PlainValidator(tag_values),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": LONGEST},
                    "minItems": 1,
                    "maxItems": MOST_VALUES,
                    "uniqueItems": True,
                },
                {"enum": [ANY]},
            ]
        }
    ),
]
