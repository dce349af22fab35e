"""Structs that Python's garbage collector does not watch (`gc=False`), which saves time for each of
them. One in a ring would never be freed, and no test of rings would find it.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
from msgspec import Struct

import gateway


def structs(of: type[Struct] = Struct) -> Iterator[type[Struct]]:
    for each in of.__subclasses__():
        yield each
        yield from structs(each)


def unwatched() -> list[type[Struct]]:
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = {each for each in structs() if each.__module__.startswith("gateway.")}
    return sorted((each for each in ours if not each.__struct_config__.gc), key=name)


def name(of: type[Struct]) -> str:
    return f"{of.__module__}.{of.__qualname__}"


def named(hint: Any) -> Iterator[type[Struct]]:
    """The structs that a type speaks of."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint
    for each in get_args(hint):
        yield from named(each)


def held(by: type[Struct]) -> set[type[Struct]]:
    """What its fields, and theirs, may hold."""
    found: set[type[Struct]] = set()
    left = [by]
    while left:
        for hint in get_type_hints(left.pop()).values():
            new = {*named(hint)} - found
            found |= new
            left += new
    return found


@pytest.mark.parametrize("struct", unwatched(), ids=name)
def test_what_is_not_watched_holds_none_of_its_kind(struct: type[Struct]) -> None:
    assert struct not in held(struct)


class _Ring(Struct, gc=False):
    others: "tuple[_Other, ...] | None"


class _Other(Struct):
    ring: _Ring


def test_a_ring_would_be_found() -> None:
    assert _Ring in held(_Ring)
