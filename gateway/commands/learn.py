"""`tollgate learn`: from recorded answers or usage records to the weights of a route."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from gateway.commands.options import write_file
from gateway.commands.progress import busy
from gateway.commands.replay_route import find_route
from gateway.replay.formats import FORMATS, read
from gateway.replay.learn import Bin, Evaluation, learn
from gateway.replay.lessons import Lessons, of_records, of_usage, read_calls
from gateway.replay.lineup import line_up
from gateway.replay.records import Unusable

_JSONL: Final = "jsonl:"
_DEFAULT: Final = "cascade"


class LearnOptions(Struct, frozen=True):
    """`source` is a folder. `route` None is the only one of usage records, else a cascade."""

    source: str
    out: Path
    route: str | None = None
    pool: tuple[str, ...] = ()
    smart: str | None = None
    config: tuple[Path, ...] = ()
    seed: int = 1


def run(options: LearnOptions, env: Mapping[str, str]) -> Iterator[str]:
    """Write the file; lines for a person. Raises Unusable, ConfigError and OSError, and then
    nothing is written.
    """
    with busy(f"learning from {options.source}"):
        lessons = _lessons(options, env)
        text, evaluation = learn(lessons, options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_file(options.out, text)
    yield from report(lessons, evaluation)
    yield f"written: {options.out}"


def report(lessons: Lessons, evaluation: Evaluation) -> Iterator[str]:
    """What was learned from, and how well it predicts."""
    yield f"{lessons.name}: {evaluation.requests:,} requests; tiers: {', '.join(lessons.rungs)}"
    for why, count in sorted(lessons.skipped.items()):
        yield f"skipped: {count:,} {why}"
    yield "on requests that were held out, a fifth at a time:"
    if evaluation.apgr is None:
        yield "  APGR: not known, for who passed below was not asked above"
    else:
        by_length = f"by the prompt's length alone {evaluation.by_length:.3f}"
        yield f"  APGR {evaluation.apgr:.3f}; {by_length}"
    for rung in lessons.rungs:
        area = evaluation.auc[rung]
        how = "nothing to tell apart" if area is None else f"AUC {area:.3f}"
        yield f"  {rung}: {how}; predicted and passed, from the least likely fifth up:"
        yield "    " + "  ".join(map(_bin, evaluation.calibration[rung]))


def _bin(each: Bin) -> str:
    return f"{each.predicted:.0%} {each.passed:.0%} ({each.requests:,})"


def _lessons(options: LearnOptions, env: Mapping[str, str]) -> Lessons:
    folder = Path(options.source.removeprefix(_JSONL))
    if "://" in options.source or options.source.startswith("parquet:"):
        raise Unusable(
            f"{_kind(options.source)} is not read for signals: usage.sink must be jsonl:folder"
        )
    if not any((folder / mark).is_file() for mark in FORMATS):
        calls, unread = read_calls(folder)
        return of_usage(calls, options.route, str(folder), unread)
    records = read(folder)
    catalog, route = find_route(options.route or _DEFAULT, options.config, env)
    route = structs.replace(route, learned=None)
    return of_records(records, line_up(records, catalog, route, options.pool, options.smart))


def _kind(source: str) -> str:
    """The scheme alone: a URL may hold a secret."""
    return source.partition(":")[0]
