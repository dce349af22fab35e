"""Behaviours of simulated models, by model name: "cheap-right", "smart-slow", "mid-refuse-2"."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class Behaviour(Struct, frozen=True):
    """`json` is what it does without streaming, if that differs."""

    name: str
    does: str
    json: str = ""


BEHAVIOURS: Final = (
    Behaviour("right", "answers well; ends in `CONFIDENCE: HIGH` when a message asks for it"),
    Behaviour("unsure", "answers wrongly; always ends in `CONFIDENCE: LOW`"),
    Behaviour("refuse", "says that it cannot help, as its text"),
    Behaviour("brokenjson", "answers with JSON that ends half-way, and says it is complete"),
    Behaviour("cut", "stops half-way: finish `length`, stop reason `max_tokens`"),
    Behaviour("throttle", "429, in the provider's own way to say in a second"),
    Behaviour("error400", "400: refuses the request"),
    Behaviour("error500", "500"),
    Behaviour("error502", "502: an HTML page of a proxy in front of it"),
    Behaviour("error503", "503: unavailable"),
    Behaviour("error504", "504: out of time (Bedrock: 408; Ollama: 500)"),
    Behaviour("overloaded", "529, overloaded (Azure, Gemini, Bedrock, Ollama: 503)"),
    Behaviour("stall", "takes the request and never sends a byte"),
    Behaviour(
        "stallmid", "sends a few pieces, then nothing more", "headers and half of the body, then so"
    ),
    Behaviour("reset", "resets the connection before any byte"),
    Behaviour("resetmid", "sends a few pieces, then resets", "resets before any byte"),
    Behaviour(
        "errormid",
        "sends a few pieces, then an error as the provider tells it: its own, or that of the next "
        "word, as in `errormid-throttle`",
        "as that word, or `overloaded`",
    ),
    Behaviour("noend", "ends the stream without finish, final usage or end mark", "as `right`"),
    Behaviour("slow", "waits 300 ms (`slow_s`) before its first byte"),
    Behaviour("nousage", "tells no usage anywhere"),
    Behaviour("emptyanswer", "answers with no text"),
    Behaviour("badtool", "calls tools with arguments that are not JSON; else as `right`"),
    Behaviour("flaky", "500 at the first call with a given prompt, then as `right`"),
)

FAILURES: Final[Mapping[str, int]] = {
    "throttle": 429,
    "error400": 400,
    "error500": 500,
    "error502": 502,
    "error503": 503,
    "error504": 504,
    "overloaded": 529,
}
"""Status by behaviour, for Format.failure; some providers use another status."""
_NAMES: Final = frozenset(behaviour.name for behaviour in BEHAVIOURS)


def behaviour_of(model: str) -> str:
    """The first behaviour among the words of a model's name, or "right"."""
    return next((word for word in model.split("-") if word in _NAMES), "right")


def interruption_of(model: str) -> int | None:
    """The status in FAILURES for an error in mid-stream; None for the provider's usual one."""
    _, _, rest = model.partition("errormid-")
    return FAILURES.get(rest.partition("-")[0])
