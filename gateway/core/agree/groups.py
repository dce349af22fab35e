"""Which keys agree: equal ones, and a number without a sign with the same one that has any."""

from collections.abc import Hashable, Sequence


def same(one: Hashable, other: Hashable) -> bool:
    """Whether two keys agree."""
    return one == other or _unsigned(one) == other or one == _unsigned(other)


def largest_group(keys: Sequence[Hashable | None]) -> list[int]:
    """The places of the most keys of which each two agree; of groups alike, of the first."""
    groups = (
        [at for at, other in enumerate(keys) if other is not None and other in (key, bare_key)]
        for key, bare_key in ((key, _unsigned(key)) for key in keys if key is not None)
    )
    return max(groups, key=len, default=[])


def _unsigned(key: Hashable) -> Hashable:
    """A short answer that is a number, without its sign."""
    match key:
        case ("number", number, _):
            return ("number", number)
        case ("label", ("number", number, _)):
            return ("label", ("number", number))
        case _:
            return key
