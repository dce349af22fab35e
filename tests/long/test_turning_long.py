"""Reloads and replaced replicas at full size."""

from pathlib import Path

from tests.promises import Reached
from tests.service.test_turning import check_reloads, check_replicas


async def test_a_thousand_reloads_under_load(tmp_path: Path, reached: Reached) -> None:
    await check_reloads(tmp_path, 1_000, reached)


async def test_three_replicas_are_replaced_under_load(tmp_path: Path, reached: Reached) -> None:
    await check_replicas(tmp_path, 3, 200, reached)
