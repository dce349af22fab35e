"""`tollgate ledger`: compare its counters with its records, and rebuild them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.commands.progress import steps
from gateway.commands.wrong_option import WrongOption, quoted_or_nothing
from gateway.config.load import load
from gateway.core.money import usd
from gateway.core.records.audit import Audit, TooBusy
from gateway.core.snapshot import Snapshot
from gateway.stores import open_books

_MAX_SHOWN: Final = 50
"""Differences printed for a home; of the others only the number."""


def verify(
    config: Sequence[Path], env: Mapping[str, str], now: datetime, homes: Sequence[str]
) -> tuple[list[str], int]:
    """Lines for a person, and the exit code: 0 when each counter equals the sum of its records.

    Raises WrongOption, ConfigError, StoreError and LedgerDown.
    """
    return asyncio.run(_verify(_load(config, env, now), homes))


def rebuild(
    config: Sequence[Path],
    env: Mapping[str, str],
    now: datetime,
    homes: Sequence[str],
    *,
    write: bool,
    force: bool,
) -> tuple[list[str], int]:
    """Set each counter to the sum of its records; without `write`, only report. As `verify`."""
    return asyncio.run(_rebuild(_load(config, env, now), homes, write=write, force=force))


def _load(config: Sequence[Path], env: Mapping[str, str], now: datetime) -> Snapshot:
    snapshot = load(config, env, at=now)
    if snapshot.ledger.url == "memory":
        raise WrongOption("redis.url", "is memory: there is nothing that outlives a gateway")
    return snapshot


def _check_homes(unknown: Sequence[str]) -> None:
    if unknown:
        raise WrongOption(
            "--home",
            "must be an organisation, or a tenant without one, that the configuration, the ledger "
            f"or a record knows, not {quoted_or_nothing(unknown[0])}",
        )


async def _verify(snapshot: Snapshot, homes: Sequence[str]) -> tuple[list[str], int]:
    lines: list[str] = []
    code = 0
    async with open_books(snapshot, homes) as books:
        _check_homes(await books.unknown())
        for home in steps(books.homes, "homes looked at"):
            audit = await books.audit(home)
            lines += _report(audit)
            code = code or int(bool(audit.differences))
    return lines, code


async def _rebuild(
    snapshot: Snapshot, homes: Sequence[str], *, write: bool, force: bool
) -> tuple[list[str], int]:
    lines: list[str] = []
    code = 0
    async with open_books(snapshot, homes) as books:
        _check_homes(await books.unknown())
        for home in steps(books.homes, "homes looked at"):
            audit = await books.audit(home)
            lines += _report(audit)
            if not write:
                continue
            lowered = sum(each.told < each.counted for each in audit.differences)
            if audit.missing and lowered and not force:
                code = 1
                lines.append(
                    f"{home}: not set: some records are missing, and {lowered:,} of the counters "
                    "would be lowered for want of them; --force lowers them"
                )
                continue
            try:
                held = await books.rebuild(home, force=force)
            except TooBusy:
                code = 1
                lines.append(
                    f"{home}: not all is set: it is too busy, something is settled at each moment; "
                    "stop the gateways, or try again when less goes on"
                )
                continue
            if held:
                code = 1
                lines.append(
                    f"{home}: not set: {held:,} holds are open; wait until they end, stop the "
                    "gateways, or --force"
                )
                continue
            after = await books.audit(home)
            code = code or int(bool(after.differences))
            lines.append(f"{home}: set" if not after.differences else f"{home}: set, and yet:")
            lines += _report(after) if after.differences else []
    if not write:
        lines.append("nothing was changed: --yes sets the counters to what the records say")
    return lines, code


def _report(audit: Audit) -> Iterator[str]:
    differing = len(audit.differences)
    state = f"{differing:,} differ" if differing else "all as the records say"
    yield f"{audit.home}: {audit.counters:,} counters, {audit.entries:,} records: {state}"
    if audit.missing:
        yield (
            f"{audit.home}: {audit.missing:,} records are missing: the ledger dropped them before "
            "they were kept elsewhere (usage.sink)"
        )
    for each in audit.differences[:_MAX_SHOWN]:
        slot = f" slot {each.slot}" if each.slot else ""
        more = each.counted - each.told
        money = f" ({usd(more)} USD)" if ":usd:" in each.key else ""
        yield f"  {each.key}{slot}: has {each.counted}, records say {each.told}: {more:+d}{money}"
    if differing > _MAX_SHOWN:
        yield f"  and {differing - _MAX_SHOWN:,} more"
