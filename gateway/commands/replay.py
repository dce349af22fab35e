"""`tollgate replay DIR`: what a route would have cost and missed, on recorded answers."""

import gc
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct
from rich.console import Console

from gateway.commands.replay_route import find_route
from gateway.core.catalog import Catalog, Route
from gateway.core.guard import Watch
from gateway.replay.figures import SAMPLES, Figures, Line, measure
from gateway.replay.formats import read
from gateway.replay.lineup import Lineup, line_up
from gateway.replay.picture import draw
from gateway.replay.records import Records, Unusable
from gateway.replay.rehearse import Decision, Rehearsal
from gateway.replay.rehearse_guard import WatchedRehearsal
from gateway.replay.report import as_json, brief, decision_lines, show
from gateway.replay.sweep import frontier, trials

SEED: Final = 1
"""replay_score.py draws its samples from the same, so that intervals are the same too."""


class Asked(Struct, frozen=True):
    """What the command line asks for. `watch` is the guard's settings, None for no guard."""

    folder: Path
    route: str
    pool: tuple[str, ...] = ()
    smart: str | None = None
    config: tuple[Path, ...] = ()
    decisions: Path | None = None
    svg: Path | None = None
    sweep: bool = False
    watch: Watch | None = None
    seed: int = SEED


class Rehearsed(Struct, frozen=True):
    rehearsal: Rehearsal
    decisions: Sequence[Decision]
    figures: Figures


def replay(asked: Asked, env: Mapping[str, str], console: Console | None) -> dict[str, Any]:
    """Rehearse, write the files that are asked for, print to the console if there is one, and
    give the figures as JSON values. Raises Unusable, ConfigError and OSError.
    """
    records = _read(asked)
    catalog, route = find_route(asked.route, asked.config, env)
    lineup = line_up(records, catalog, route, asked.pool, asked.smart)
    name = _called(asked.route)
    done = _rehearse(asked, records, lineup, name)
    told = {"set": records.name, **as_json(done.rehearsal, done.decisions, done.figures)}
    tried, best = _swept(asked, records, catalog, route, lineup) if asked.sweep else (0, [])
    if asked.sweep:
        told["tried"] = tried
        told["frontier"] = msgspec.to_builtins(best)
    if asked.decisions is not None:
        asked.decisions.write_bytes(b"".join(decision_lines(done.decisions)))
    if asked.svg is not None:
        title = f"{records.name}: {name}"
        asked.svg.write_text(draw(done.figures, title, best), encoding="utf-8")
    if console is not None:
        console.print(f"{records.name}: {asked.route}", markup=False, highlight=False)
        show(told, done.figures, console)
        if asked.sweep:
            console.print(f"{tried} policies tried; none is both cheaper and better than:")
        for line in best:
            console.print(brief(line), soft_wrap=True, highlight=False, markup=False)
    return told


def _read(asked: Asked) -> Records:
    """A million values that stay: looking for garbage among them would take most of the time."""
    gc.disable()
    try:
        return read(asked.folder, asked.smart)
    finally:
        gc.freeze()
        gc.enable()


def watch_of(settings: Iterable[str]) -> Watch:
    """A guard from texts such as threshold=0.8. Raises Unusable."""
    given: dict[str, str] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in Watch.__struct_fields__:
            known = ", ".join(Watch.__struct_fields__)
            raise Unusable(f"the guard has no setting {name}; it has {known}")
        given[name] = value
    try:
        return msgspec.convert(given, Watch, strict=False)
    except msgspec.ValidationError as error:
        raise Unusable(f"the guard: {error}") from None


def _called(route: str) -> str:
    """A file by its own name, without its folder."""
    file, mark, name = route.partition("#")
    return f"{Path(file).stem}{mark}{name}"


def _rehearse(
    asked: Asked, records: Records, lineup: Lineup, name: str, samples: int = SAMPLES
) -> Rehearsed:
    rng = Random(asked.seed)  # noqa: S311 - the same figures each time, not a secret
    if asked.watch is None:
        rehearsal = Rehearsal(records, lineup)
    else:
        draws = Random(asked.seed)  # noqa: S311 - as above
        rehearsal = WatchedRehearsal(records, lineup, asked.watch, draws.random)
    decisions = rehearsal.run()
    if not decisions:
        raise Unusable(f"no query was answered by all of {', '.join(lineup.pool)}")
    unserved = sum(each.served is None for each in decisions)
    if unserved:
        raise Unusable(f"{unserved} queries have no answer under this route")
    return Rehearsed(rehearsal, decisions, measure(rehearsal, decisions, name, rng, samples))


def _swept(
    asked: Asked, records: Records, catalog: Catalog, route: Route, lineup: Lineup
) -> tuple[int, list[Line]]:
    """How many policies were tried, and the frontier of them; only that gets its intervals."""
    tried = {each.name: each for each in trials(records, catalog, route, lineup.pool, lineup.smart)}
    lines = [
        _rehearse(asked, records, each.lineup, each.name, samples=1).figures.policy
        for each in tried.values()
    ]
    best = [tried[line.name] for line in frontier(lines)]
    whole = [_rehearse(asked, records, each.lineup, each.name).figures.policy for each in best]
    return len(tried), whole
