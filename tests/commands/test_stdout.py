"""Commands whose stdout cannot be written, as on a full disk."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.config.texts import SOUND


@pytest.mark.parametrize(
    "words",
    [["--version"], ["catalog"], ["check", "-c", "{}"], ["serve", "-c", "{}", "--port", "0"]],
)
def test_a_full_stdout_is_one_line(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(SOUND)
    command = [sys.executable, "-m", "gateway", *(each.format(file) for each in words)]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, "stdout: No space left on device\n")
