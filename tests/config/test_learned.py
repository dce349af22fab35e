"""A route that begins where it was learned: its file is read with the configuration, or refused."""

from pathlib import Path

import pytest

from gateway.commands.check import check
from gateway.config.faults import ConfigError
from gateway.config.load import load
from gateway.core.learned import Learned, written
from gateway.core.snapshot import Snapshot
from tests.config.texts import NO_ENV, SOUND
from tests.weights import EVEN, fit

TIERS = """\
  m2: {deployments: [{provider: local}], context: 1000, price: free}
tiers: {cheap: {models: [m1]}, smart: {models: [m2]}}
routes: {auto: {tiers: [cheap, smart], learned: LEARNED}}
tenants:"""


def file(*tiers: str) -> bytes:
    fits = dict.fromkeys(tiers, fit(1.0))
    return written(EVEN, fits, dict.fromkeys(tiers, 100), {})


GOOD = file("cheap", "smart")


def config(folder: Path, learned: str, weights: bytes | None = GOOD) -> list[Path]:
    """A configuration, and a file of weights beside it."""
    folder.mkdir(exist_ok=True)
    if weights is not None:
        (folder / "weights.json").write_bytes(weights)
    path = folder / "f.yaml"
    path.write_text(SOUND.replace("tenants:", TIERS.replace("LEARNED", learned)))
    return [path]


def learned(paths: list[Path]) -> Learned | None:
    return load(paths, NO_ENV).catalog.routes["auto"].learned


def test_weights_are_read_from_beside_the_configuration(tmp_path: Path) -> None:
    found = learned(config(tmp_path, "{file: weights.json, floor: 0.8, within: 0}"))
    assert found is not None
    assert found.weights is not None
    assert list(found.weights.rungs) == ["cheap", "smart"]
    assert (found.floor, found.within) == (0.8, 0.0)


def test_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_bytes(GOOD)
    found = learned(config(tmp_path / "here", f"{{file: '{tmp_path}/elsewhere.json'}}", None))
    assert found is not None
    assert found.weights is not None


@pytest.mark.parametrize("text", ["{}", "{floor: 0.5}"])
def test_without_a_file_it_is_only_kept(tmp_path: Path, text: str) -> None:
    found = learned(config(tmp_path, text, None))
    assert found is not None
    assert found.weights is None


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"hello", "is no file of tollgate learn: JSON is malformed: invalid character (byte 0)"),
        (b" " * 1_000_001, "is no file of tollgate learn: too large"),
        (
            GOOD.replace(b'"version": 1', b'"version": 7'),
            "is of version 7; this gateway reads version 1",
        ),
        (
            GOOD.replace(b"questions.1", b"tone.1"),
            "has weights of features that no longer exist: tone.1; learn anew",
        ),
        (GOOD.replace(b'"bias": 1.0', b'"bias": 1e150'), "has a number that is not finite"),
        (file("cheap", "mid"), "knows nothing of smart (known: cheap, mid)"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_fault(
    tmp_path: Path, weights: bytes | None, why: str
) -> None:
    paths = config(tmp_path, "{file: weights.json}", weights)
    with pytest.raises(ConfigError) as caught:
        load(paths, NO_ENV)
    wanted = f"{paths[0]}:10: routes.auto.learned.file: {why}"
    assert str(caught.value) == wanted

    def ping(_: Snapshot) -> tuple[str | None, list[str]]:
        raise AssertionError("opened")

    assert check(paths, NO_ENV, ping, lambda _: None) == (
        [wanted, "redis: answers", "1 fault"],
        1,
    )


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("{floor: 2}", ['floor: must be a share from 0 to 1, such as 0.05, not "2"']),
        ("{within: .inf}", ['within: must be a share from 0 to 1, such as 0.05, not ".inf"']),
        ("{file: }", ["file: has no value: write one, or remove it"]),
        ("weights.json", [": must be a mapping, not a text"]),
        (
            "{files: weights.json}",
            ["files: is not a known key; did you mean file? (known: file, floor, within)"],
        ),
        ("{file: w.json, floor: x}", ['floor: must be a share from 0 to 1, such as 0.05, not "x"']),
    ],
)
def test_what_is_written_wrong(tmp_path: Path, text: str, faults: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config(tmp_path, text), NO_ENV)
    told = [f"{each.path}: {each.message}" for each in caught.value.faults]
    wanted = [f"routes.auto.learned.{each}".replace(".:", ":") for each in faults]
    assert told == wanted


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"learned\.file: cannot be read: Is a directory"):
        load(config(tmp_path, "{file: .}"), NO_ENV)


def test_a_route_of_one_tier_has_no_choice(tmp_path: Path) -> None:
    paths = config(tmp_path, "{file: weights.json}")
    paths[0].write_text(paths[0].read_text().replace("[cheap, smart]", "[cheap]"))
    with pytest.raises(ConfigError, match=r"learned\.file: is of no use: the route has one tier"):
        load(paths, NO_ENV)
