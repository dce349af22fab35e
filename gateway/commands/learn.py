"""`tollgate learn`: from recorded answers or usage records to the weights of a route."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from gateway.commands.progress import busy
from gateway.commands.replay_route import find_route
from gateway.replay.formats import FORMATS, read
from gateway.replay.learn import Bin, Worth, learn
from gateway.replay.lessons import Lessons, of_records, of_usage, read_calls
from gateway.replay.lineup import line_up
from gateway.replay.records import Unusable

_JSONL: Final = "jsonl:"
_DEFAULT: Final = "cascade"


class Asked(Struct, frozen=True):
    """`source` is a folder. `route` None is, of records, the only one, and else a cascade."""

    source: str
    out: Path
    route: str | None = None
    pool: tuple[str, ...] = ()
    smart: str | None = None
    config: tuple[Path, ...] = ()
    seed: int = 1


def run(asked: Asked, env: Mapping[str, str]) -> Iterator[str]:
    """Write the file; lines for a person. Raises Unusable, ConfigError and OSError, and then
    nothing is written.
    """
    with busy(f"learning from {asked.source}"):
        lessons = _lessons(asked, env)
        text, worth = learn(lessons, asked.seed)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_bytes(text)
    yield from report(lessons, worth)
    yield f"written: {asked.out}"


def report(lessons: Lessons, worth: Worth) -> Iterator[str]:
    """What was learned from, and what it is worth."""
    yield f"{lessons.name}: {worth.requests:,} requests; tiers: {', '.join(lessons.rungs)}"
    for why, count in sorted(lessons.skipped.items()):
        yield f"skipped: {count:,} {why}"
    yield "on requests that were held out, a fifth at a time:"
    if worth.apgr is None:
        yield "  APGR: not known, for who passed below was not asked above"
    else:
        yield f"  APGR {worth.apgr:.3f}; by the prompt's length alone {worth.by_length:.3f}"
    for rung in lessons.rungs:
        area = worth.auc[rung]
        how = "nothing to tell apart" if area is None else f"AUC {area:.3f}"
        yield f"  {rung}: {how}; predicted and passed, from the least likely fifth up:"
        yield "    " + "  ".join(map(_bin, worth.calibration[rung]))


def _bin(each: Bin) -> str:
    return f"{each.predicted:.0%} {each.passed:.0%} ({each.requests:,})"


def _lessons(asked: Asked, env: Mapping[str, str]) -> Lessons:
    folder = Path(asked.source.removeprefix(_JSONL))
    if "://" in asked.source or asked.source.startswith("parquet:"):
        raise Unusable(
            f"{_kind(asked.source)} is not read for signals: usage.sink must be jsonl:folder"
        )
    if not any((folder / mark).is_file() for mark in FORMATS):
        calls, unread = read_calls(folder)
        return of_usage(calls, asked.route, str(folder), unread)
    records = read(folder)
    catalog, route = find_route(asked.route or _DEFAULT, asked.config, env)
    route = structs.replace(route, learned=None)
    return of_records(records, line_up(records, catalog, route, asked.pool, asked.smart))


def _kind(source: str) -> str:
    """A URL may hold a secret."""
    return source.partition(":")[0]
