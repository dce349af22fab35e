"""What a learned start is worth, on the recorded answers of real models that it has not seen."""

from statistics import mean, stdev
from typing import Final

import pytest

from gateway.core.catalog import Catalog, Route
from gateway.replay.formats import read
from gateway.replay.learn import areas_of, fold_of, train
from gateway.replay.lessons import Lessons, of_records
from gateway.replay.lineup import line_up
from tests.promises import Reached
from tests.replay.sets import shared

SEED: Final = 1


def lessons(name: str) -> Lessons:
    records = read(shared(name))
    return of_records(records, line_up(records, Catalog({}, {}, {}), Route("cascade", ())))


@pytest.mark.parametrize(
    ("name", "what", "seeds", "promised"),
    [
        ("routellm-gsm8k", "GSM8K", 3, 0.62),
        ("routellm-mmlu", "MMLU", 2, 0.65),
    ],
)
def test_a_learned_start(
    name: str, what: str, seeds: int, promised: float, reached: Reached
) -> None:
    """Five parts a seed: each is what was held out while the rest, alone, said all that is learned,
    the penalty with it.
    """
    known = lessons(name)
    areas, plain = [], []
    for seed in range(1, seeds + 1):
        for part in range(5):
            rest = [each for each in known.lessons if fold_of(each.id, seed) != part]
            left = [each for each in known.lessons if fold_of(each.id, seed) == part]
            taught = train(rest, known.rungs, seed)
            area, by_length = areas_of(left, taught.chances(left), known.rungs)
            assert area is not None
            assert by_length is not None
            areas.append(area)
            plain.append(by_length)
    spread = f"sd {stdev(areas):.3f} over {len(areas)} parts"
    reached(
        "routing",
        f"learned start, {what}: APGR on unseen requests",
        f"{mean(areas):.3f} ({spread}; by length {mean(plain):.3f})",
        f">= {promised}",
    )
    assert mean(areas) >= promised
