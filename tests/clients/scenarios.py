"""What every client is put through, and how it tells what came of it.

A client is a module that is run as a program, in its own environment: it imports nothing of ours
but this file, does each of its scenarios once a model, and prints one line of JSON.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel

QUESTION: Final = "What is 17*23?"
PRODUCT: Final = 391

Scenario = Callable[["Gateway", str], dict[str, Any]]


class Gateway(NamedTuple):
    url: str
    key: str


class Answer(BaseModel):
    """What a structured answer is to be."""

    answer: int
    kind: Literal["product", "sum"]
    steps: list[str]


def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b


MULTIPLY: Final[Any] = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Multiply two whole numbers.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}


PLAYED_BY: Final = {
    "refused": "chat",
    "unknown": "chat",
    "failing": "chat",
    "held": "stream",
    "breaking": "stream",
}
"""The scenarios that another one's code plays, with a model or a key of their own."""


def play(scenarios: Mapping[str, Scenario]) -> None:
    """Arguments: URL KEY POOR-KEY SCENARIO/MODEL... Prints {"scenario/model": what came of it}."""
    url, key, poor, *asked = sys.argv[1:]
    told = {}
    for each in asked:
        scenario, _, model = each.partition("/")
        played = scenarios[PLAYED_BY.get(scenario, scenario)]
        told[each] = _tried(played, Gateway(url, poor if scenario == "refused" else key), model)
    print(json.dumps(told))


def _tried(scenario: Scenario, gateway: Gateway, model: str) -> dict[str, Any]:
    try:
        return scenario(gateway, model)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is what is asked for
        said = {"raised": type(error).__name__, "said": str(error)[:2000]}
        status = next((s for s in map(_status, _causes(error)) if s is not None), None)
        return said if status is None else {**said, "status": status}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None
