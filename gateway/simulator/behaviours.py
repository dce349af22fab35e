"""What a simulated model does, chosen by its name: "cheap-right", "smart-slow", "mid-refuse-2"."""

from typing import Final

from msgspec import Struct


class Behaviour(Struct, frozen=True):
    """`json` is what is done without streaming, where that differs."""

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
    Behaviour("error500", "500"),
    Behaviour("overloaded", "529, overloaded (Gemini, Bedrock, Ollama: 503)"),
    Behaviour("stall", "takes the request and never sends a byte"),
    Behaviour(
        "stallmid", "sends a few pieces, then nothing more", "headers and half of the body, then so"
    ),
    Behaviour("reset", "resets the connection before any byte"),
    Behaviour("resetmid", "sends a few pieces, then resets", "resets before any byte"),
    Behaviour(
        "errormid", "sends a few pieces, then an error as the provider tells it", "as `overloaded`"
    ),
    Behaviour("noend", "ends the stream without finish, final usage or end mark", "as `right`"),
    Behaviour("slow", "waits 300 ms (`slow_s`) before its first byte"),
    Behaviour("nousage", "tells no usage anywhere"),
    Behaviour("emptyanswer", "answers with no text"),
    Behaviour("badtool", "calls tools with arguments that are not JSON; else as `right`"),
    Behaviour("flaky", "500 at the first call with a given prompt, then as `right`"),
)

_NAMES: Final = frozenset(behaviour.name for behaviour in BEHAVIOURS)


def behaviour_of(model: str) -> str:
    """The first behaviour among the words of a model's name, or "right"."""
    return next((word for word in model.split("-") if word in _NAMES), "right")


def behaviour_table() -> str:
    """The behaviours as a Markdown table; docs/simulator.md holds a copy."""
    rows = [f"| `{b.name}` | {b.does} | {b.json or 'the same'} |" for b in BEHAVIOURS]
    return "\n".join(["| word | what it does | without `stream` |", "|---|---|---|", *rows])
