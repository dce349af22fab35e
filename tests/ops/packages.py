"""Programs of other people that these tests need: found here, or fetched from Debian when root.

In `make test` nothing is fetched.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "build/ops"
"""What was fetched or made stays here."""
FETCHES: Final = os.environ.get("OPS_FETCH", "yes") != "no"
MIRROR: Final = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
KEYS: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def run(command: Sequence[str | Path], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **env},
        timeout=1200,
    )


def output(command: Sequence[str | Path], **env: str) -> str:
    ran = run(command, **env)
    assert ran.returncode == 0, f"{command}: {ran.stdout[-2000:]}{ran.stderr[-4000:]}"
    return ran.stdout


def fetched(what: str, command: Sequence[str | Path]) -> None:
    """Skips where the machine cannot reach Debian, saying what it was to fetch."""
    ran = run(command)
    if ran.returncode:
        said = (ran.stdout + ran.stderr).strip().splitlines()[-1:] or [""]
        pytest.skip(f"missing: {what}, and it cannot be fetched here: {said[0]}")


def installed(*programs: str) -> None:
    """Each is here, or its package of the same name is installed; skips where neither can be."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    if FETCHES and os.geteuid() == 0 and shutil.which("apt-get"):
        run(["apt-get", "update", "-qq"])
        install = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *missing]
        run(install, DEBIAN_FRONTEND="noninteractive")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"missing: {', '.join(missing)} (Debian: apt install {' '.join(missing)})")


def of_trixie(package: str, program: str) -> Path:
    """A program of Debian 13 that needs no library of it, without installing anything."""
    there = KEPT / package / program
    if there.exists():
        return there
    if not FETCHES:
        pytest.skip(f"missing: {package}, which make ops-test fetches")
    if shutil.which("apt-get") is None or not KEYS.exists():
        pytest.skip(f"missing: {package}, and there is no Debian to fetch it from")
    apt = KEPT / "apt"
    for folder in (apt / "lists/partial", apt / "cache/archives/partial"):
        folder.mkdir(parents=True, exist_ok=True)
    sources = apt / "trixie.list"
    sources.write_text(f"deb [signed-by={KEYS}] {MIRROR} trixie main\n")
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
    }
    apt_get = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    fetched(package, [*apt_get, "update"])
    only = ["--yes", "--download-only", "--no-install-recommends"]
    fetched(package, [*apt_get, "install", *only, package])
    (archive,) = (apt / "cache/archives").glob(f"{package}_*.deb")
    output(["dpkg-deb", "--extract", archive, KEPT / package])
    return there
