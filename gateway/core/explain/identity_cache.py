"""A cache of a function's results, by which objects it was called with."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def cached_by_identity(make: Callable[P, T]) -> Callable[P, T]:
    """As functools.cache, but arguments are compared by identity, so that they may be unhashable or
    large; only integers and strings are compared by value. It is never emptied.
    """
    made: dict[tuple[object, ...], tuple[object, T]] = {}

    def find(*args: P.args, **kwargs: P.kwargs) -> T:
        given = (*args, *kwargs.values())
        key = tuple(each if isinstance(each, int | str) else (id(each),) for each in given)
        found = made.get(key)
        if found is None:  # arguments are kept, so that nothing else gets their ids
            found = made[key] = given, make(*args, **kwargs)
        return found[1]

    return find
