"""An option that cannot be used, and what is allowed in its place."""

from collections.abc import Sequence
from typing import Final

from gateway.config.faults import quoted

FORMATS: Final = ("table", "csv", "json")


class WrongOption(Exception):
    """An option that cannot be used."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(f"{option}: {message}")


def one_of(option: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise WrongOption(
            option, f"must be one of {', '.join(known)}, not {quoted_or_nothing(text)}"
        )
    return text


def quoted_or_nothing(text: str) -> str:
    return quoted(text) if text else "nothing"
