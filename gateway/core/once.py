"""What has been made of the same things is not made again."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def once(make: Callable[P, T]) -> Callable[P, T]:
    """As functools.cache, by which things they are and not by what is in them: it takes such as
    cannot be hashed, or are large. Numbers and names are by their value.
    """
    made: dict[tuple[object, ...], tuple[object, T]] = {}

    def find(*args: P.args, **kwargs: P.kwargs) -> T:
        given = (*args, *kwargs.values())
        key = tuple(each if isinstance(each, int | str) else (id(each),) for each in given)
        found = made.get(key)
        if found is None:  # what is kept stays, so that nothing else gets its id
            found = made[key] = given, make(*args, **kwargs)
        return found[1]

    return find
