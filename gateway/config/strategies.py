"""Strategies as they are written: a name, or `{vote: {voters: 3}, then: cascade}`.

core/strategies defines the options and what they allow; here texts become their values.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

from gateway.config.faults import did_you_mean, listed, quoted, safe_key
from gateway.config.scalars import invalid_hidden, one_of
from gateway.config.tree import EMPTY
from gateway.core.catalog import Tactic
from gateway.core.strategies import OPTIONS, Option, fault, tactic

CLIMB: Final = tactic("cascade")
THEN: Final = "then"
_SHAPE: Final = "must be a strategy's name, or {name: {option: value}, then: another}"
_MOST_DIGITS: Final = 9


def strategy(value: object) -> Tactic:
    if isinstance(value, str):
        return tactic(one_of(tuple(OPTIONS))(value))
    return _mapping(value)


def _mapping(value: object) -> Tactic:
    if not isinstance(value, dict):
        raise invalid_hidden(_SHAPE)
    named = [key for key in value if key != THEN]
    if len(named) != 1:
        raise invalid_hidden(f"must name exactly one strategy, and perhaps {THEN}")
    (name,) = named
    if name not in OPTIONS:
        hint = did_you_mean(name, OPTIONS)
        raise invalid_hidden(
            f"{quoted(safe_key(name))} is not a known strategy{hint} (known: {listed(OPTIONS)})"
        )
    options = _options(name, value[name])
    return tactic(name, options, _then(value[THEN]) if THEN in value else None)


def _then(value: object) -> Tactic:
    """Its text is not shown: it may come from the environment."""
    if not isinstance(value, str):
        return _mapping(value)
    if value not in OPTIONS:
        raise invalid_hidden(f"{THEN} must be one of {listed(OPTIONS)}")
    return tactic(value)


def _options(name: str, written: object) -> Mapping[str, Any]:
    if written is EMPTY:
        return {}
    if not isinstance(written, dict):
        raise invalid_hidden(f"{name} takes a mapping of options")
    known = OPTIONS[name]
    for key in written:
        if key not in known:
            hint = did_you_mean(key, known)
            message = (
                f"{quoted(safe_key(key))} is not an option of {name}{hint} (known: {listed(known)})"
            )
            raise invalid_hidden(message)
    options = {key: _value(name, key, text) for key, text in written.items()}
    why = fault(name, options)
    if why is not None:
        raise invalid_hidden(why)
    return options


def _value(name: str, key: str, written: Any) -> Any:
    """A text as the kind of value that the option has. Any other text stays, and is refused."""
    option = OPTIONS[name][key]
    if isinstance(option.default, tuple) == isinstance(written, list):
        if isinstance(written, list):
            return tuple(written)
        if isinstance(written, str):
            return _plain(option.default, written)
    raise invalid_hidden(f"{name}: {key} must be {option.meaning}")


def _plain(default: object, written: str) -> object:
    if isinstance(default, bool):
        return written == "true" if written in {"true", "false"} else written
    if default is None or isinstance(default, int):
        is_integer = written.isascii() and written.isdigit() and len(written) <= _MOST_DIGITS
        return int(written) if is_integer else written
    return written


def _schema() -> dict[str, Any]:
    """For editors: which options there are, and of which kind."""
    names = list(OPTIONS)
    one = {
        name: {
            "type": ["object", "null"],
            "properties": {key: _option_schema(option) for key, option in known.items()},
            "additionalProperties": False,
        }
        for name, known in OPTIONS.items()
    }
    return {
        "anyOf": [
            {"enum": names},
            {
                "type": "object",
                "properties": {**one, THEN: {"type": ["string", "object"]}},
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 2,
            },
            {"type": "string", "pattern": r"\$\{"},
        ],
        "default": CLIMB.name,
    }


def _option_schema(option: Option) -> dict[str, Any]:
    if isinstance(option.default, tuple):
        shape: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    elif isinstance(option.default, str):
        shape = {"type": "string"}
    else:  # an editor sees a variable as a text
        shape = {"type": ["boolean" if option.default is False else "integer", "string"]}
    return {**shape, "description": option.meaning}


Strategy = Annotated[Tactic, PlainValidator(strategy), WithJsonSchema(_schema())]
