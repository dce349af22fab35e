"""`tollgate replay DIR`: what a route would have cost and missed, on recorded answers."""

import gc
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct, structs
from rich.console import Console

from gateway.commands.progress import busy, steps
from gateway.commands.replay_route import find_route
from gateway.core.catalog import Catalog, Route
from gateway.core.guard import GuardSettings
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
"""That of the recordings' scorer (tests/replay/test_same_numbers.py): so intervals are its, too."""


class Asked(Struct, frozen=True):
    """What the command line asks for. `guard` are settings such as threshold=0.8 in place of the
    route's own, None for no guard.
    """

    folder: Path
    route: str
    pool: tuple[str, ...] = ()
    smart: str | None = None
    config: tuple[Path, ...] = ()
    decisions: Path | None = None
    svg: Path | None = None
    sweep: bool = False
    guard: tuple[str, ...] | None = None
    seed: int = SEED


class Rehearsed(Struct, frozen=True):
    rehearsal: Rehearsal
    decisions: Sequence[Decision]
    figures: Figures


def replay(asked: Asked, env: Mapping[str, str], console: Console | None) -> dict[str, Any]:
    """Rehearse, write the files that are asked for, print to the console if there is one, and
    give the figures as JSON values. Raises Unusable, ConfigError and OSError.
    """
    with busy(f"reading {asked.folder}"):
        records = _read(asked)
    catalog, route = find_route(asked.route, asked.config, env)
    guard = None if asked.guard is None else guard_settings(asked.guard, route.guard)
    guarded = route.guard is not None
    route = route if guard is None else structs.replace(route, guard=guard)
    lineup = line_up(records, catalog, route, asked.pool, asked.smart)
    if guard is None and guarded:
        notes = (*lineup.notes, "the route has a guard: --guard rehearses it, too")
        lineup = structs.replace(lineup, notes=notes)
    name = _called(asked.route)
    run = _Run(asked, records, guard)
    with busy(f"rehearsing {name}"):
        done = run.rehearse(lineup, name)
    told = {"set": records.name, **as_json(done.rehearsal, done.decisions, done.figures)}
    tried, best = _swept(run, catalog, route, lineup) if asked.sweep else (0, [])
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


def guard_settings(settings: Iterable[str], own: GuardSettings | None = None) -> GuardSettings:
    """A guard from texts such as threshold=0.8; what they leave out is as the route's own says, or
    as it is by default. Raises Unusable.
    """
    given: dict[str, Any] = {} if own is None else structs.asdict(own)
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in GuardSettings.__struct_fields__:
            known = ", ".join(GuardSettings.__struct_fields__)
            raise Unusable(f"the guard has no setting {name}; it has {known}")
        given[name] = value
    try:
        return msgspec.convert(given, GuardSettings, strict=False)
    except msgspec.ValidationError as error:
        raise Unusable(f"the guard: {error}") from None


def _called(route: str) -> str:
    """A file by its own name, without its folder."""
    file, mark, name = route.partition("#")
    return f"{Path(file).stem}{mark}{name}"


class _Run(Struct, frozen=True):
    """What holds for every policy. `guard` are the guard's numbers, None for no guard."""

    asked: Asked
    records: Records
    guard: GuardSettings | None

    def rehearse(self, lineup: Lineup, name: str, samples: int = SAMPLES) -> Rehearsed:
        seed = self.asked.seed
        rng = Random(seed)  # noqa: S311 - the same figures each time, not a secret
        if self.guard is None:
            rehearsal = Rehearsal(self.records, lineup)
        else:
            draws = Random(seed)  # noqa: S311 - as above
            rehearsal = WatchedRehearsal(self.records, lineup, self.guard, draws.random)
        decisions = rehearsal.run()
        if not decisions:
            raise Unusable(f"no query was answered by all of {', '.join(lineup.pool)}")
        unserved = sum(each.served is None for each in decisions)
        if unserved:
            raise Unusable(f"{unserved} queries have no answer under this route")
        return Rehearsed(rehearsal, decisions, measure(rehearsal, decisions, name, rng, samples))


def _swept(run: _Run, catalog: Catalog, route: Route, lineup: Lineup) -> tuple[int, list[Line]]:
    """How many policies were tried, and the frontier of them; only that gets its intervals."""
    every = trials(run.records, catalog, route, lineup.pool, lineup.smart)
    tried = {each.name: each for each in every}
    lines = [
        run.rehearse(each.lineup, each.name, samples=1).figures.policy
        for each in steps([*tried.values()], "policies tried")
    ]
    best = [tried[line.name] for line in frontier(lines)]
    measured = steps(best, "the best of them measured")
    return len(tried), [run.rehearse(each.lineup, each.name).figures.policy for each in measured]
