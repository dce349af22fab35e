"""The pictures and the table of docs/choosing-a-policy.md are what its commands make."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.replay.sets import FLASH, LLAMA, MINI, SMART, shared, told

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "choosing-a-policy.md").read_text("utf-8")
BLOCKS: Final = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PICTURES: Final = sorted(set(re.findall(r"\]\((policy-[\w-]+\.svg)\)", PAGE)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader stands who has the sets beside the checkout, after the blocks that matter."""
    home = tmp_path_factory.mktemp("home")
    (home / "shared").symlink_to(shared(".").resolve().parent)
    (home / "checkout" / "docs").mkdir(parents=True)
    (route,) = (block for block in BLOCKS if "> three-tiers.yaml" in block)
    (pictures,) = (block for block in BLOCKS if "../shared/replay" in block)
    written = route[: route.index("tollgate replay")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", written + pictures],
        cwd=home / "checkout",
        env={"PATH": path, "PYTHONUTF8": "1"},
        capture_output=True,
        check=True,
    )
    return home / "checkout" / "docs"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_its_command_makes(made: Path, name: str) -> None:
    assert (made / name).read_bytes() == (ROOT / "docs" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "row", "pool", "join"),
    [
        ("zeroeval-gsm", "| GSM8K, 884 questions |", (LLAMA, FLASH, SMART), False),
        ("zeroeval-gsm", "| the same |", (LLAMA, FLASH, MINI, SMART), True),
        ("zeroeval-crux", "| CRUXEval, 538 questions |", (FLASH, MINI, SMART), False),
    ],
)
def test_the_table_says_what_was_measured(
    tmp_path: Path, name: str, row: str, pool: tuple[str, ...], join: bool
) -> None:
    route = tmp_path / "route.yaml"
    route.write_text(f"strategy: {{vote: {{join: {str(join).lower()}}}}}\n")
    policy = told(shared(name), str(route), *pool)["policy"]
    (line,) = (line for line in PAGE.splitlines() if line.startswith(row))
    gap, cost, lift = (policy[key]["value"] for key in ("vs_smart_pp", "cost_of_smart", "lift_pp"))
    assert line.endswith(f"| {gap:+.2f} pp | {cost:.3f} | {lift:+.2f} pp |")
