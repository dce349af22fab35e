"""`tollgate replay DIR`: what a route would have cost and missed, on recorded answers."""

import gc
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct, structs
from pydantic import ValidationError
from rich.console import Console

from gateway.commands.options import write_file
from gateway.commands.progress import busy, steps
from gateway.commands.replay_route import find_route
from gateway.commands.wrong_option import quoted_or_nothing
from gateway.config.trials import Guard
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
"""As the recordings' scorer has it (tests/replay/test_same_numbers.py): so intervals agree."""


class ReplayOptions(Struct, frozen=True):
    """The options. `guard` are settings such as threshold=0.8 in place of the
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


class RehearsalResult(Struct, frozen=True):
    rehearsal: Rehearsal
    decisions: Sequence[Decision]
    figures: Figures


def replay(
    options: ReplayOptions, env: Mapping[str, str], console: Console | None
) -> dict[str, Any]:
    """Rehearse, write the requested files, print to the console if there is one, and return the
    figures as JSON values. Raises Unusable, ConfigError and OSError.
    """
    with busy(f"reading {options.folder}"):
        records = _read(options)
    catalog, route = find_route(options.route, options.config, env)
    guard = None if options.guard is None else guard_settings(options.guard, route.guard)
    guarded = route.guard is not None
    route = route if guard is None else structs.replace(route, guard=guard)
    lineup = line_up(records, catalog, route, options.pool, options.smart)
    if guard is None and guarded:
        notes = (*lineup.notes, "the route has a guard: --guard rehearses it, too")
        lineup = structs.replace(lineup, notes=notes)
    name = _display_name(options.route)
    run = _Run(options, records, guard)
    with busy(f"rehearsing {name}"):
        result = run.rehearse(lineup, name)
    report = {"set": records.name, **as_json(result.rehearsal, result.decisions, result.figures)}
    tried, best = _sweep(run, catalog, route, lineup) if options.sweep else (0, [])
    if options.sweep:
        report["tried"] = tried
        report["frontier"] = msgspec.to_builtins(best)
    if options.decisions is not None:
        write_file(options.decisions, b"".join(decision_lines(result.decisions)))
    if options.svg is not None:
        title = f"{records.name}: {name}"
        write_file(options.svg, draw(result.figures, title, best).encode())
    if console is not None:
        console.print(f"{records.name}: {options.route}", markup=False, highlight=False)
        show(report, result.figures, console)
        if options.sweep:
            console.print(f"{tried} policies tried; none is both cheaper and better than:")
        for line in best:
            console.print(brief(line), soft_wrap=True, highlight=False, markup=False)
    return report


def _read(options: ReplayOptions) -> Records:
    """Without the garbage collector: a million values that stay would cost it most of the time."""
    gc.disable()
    try:
        return read(options.folder, options.smart)
    finally:
        gc.freeze()
        gc.enable()


def guard_settings(settings: Iterable[str], own: GuardSettings | None = None) -> GuardSettings:
    """A guard from texts such as threshold=0.8; the rest is as in the route's own guard, or the
    default. Raises Unusable.
    """
    values: dict[str, str] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in GuardSettings.__struct_fields__:
            known = ", ".join(GuardSettings.__struct_fields__)
            raise Unusable(f"the guard has no setting {name}; it has {known}")
        values[name] = value
    try:
        given = Guard.model_validate(values).settings()  # texts, as in YAML
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        value = quoted_or_nothing(values[name])
        raise Unusable(f"the guard: {name}: {fault['msg']}, not {value}") from None
    changed = {name: getattr(given, name) for name in values}
    return structs.replace(own or GuardSettings(), **changed)


def _display_name(route: str) -> str:
    """A file by its name, without folder and suffix."""
    file, mark, name = route.partition("#")
    return f"{Path(file).stem}{mark}{name}"


class _Run(Struct, frozen=True):
    """What all policies share. `guard` None is no guard."""

    options: ReplayOptions
    records: Records
    guard: GuardSettings | None

    def rehearse(self, lineup: Lineup, name: str, samples: int = SAMPLES) -> RehearsalResult:
        seed = self.options.seed
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
        return RehearsalResult(
            rehearsal, decisions, measure(rehearsal, decisions, name, rng, samples)
        )


def _sweep(run: _Run, catalog: Catalog, route: Route, lineup: Lineup) -> tuple[int, list[Line]]:
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
