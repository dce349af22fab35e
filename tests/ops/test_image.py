"""The image: really built from the Dockerfile, and run as it is meant to be. `make image-test`.

Its base is made here, since registries are not asked: Debian 13 with Python, by debootstrap. So the
size is that of our part on Debian's own Python, which is about as large as the base that the
Dockerfile names.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gateway
from tests.ops.packages import KEPT, MIRROR, ROOT, fetched, installed, output, run
from tests.promises import Reached

BASE, IMAGE, NAME = "localhost/tollgate-base:trixie", "localhost/tollgate:test", "tollgate-test"
MOST_MB = 200
TMP = "/tmp"  # noqa: S108 - inside
HARDENED = [
    *("--network", "none", "--read-only", "--read-only-tmpfs=false"),
    *("--tmpfs", f"{TMP}:size=64m,mode=1777", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--no-healthcheck", "--runtime", "runc"),
    *("--ulimit", "nofile=10000:10000", "--ulimit", "nproc=4000:4000"),
]
STORE = KEPT / "containers"
WHERE: list[str | Path] = [
    "--root",
    STORE,
    "--runroot",
    STORE / "run",
    "--storage-driver",
    "overlay",
]
BUILDAH: list[str | Path] = ["buildah", *WHERE]
PODMAN: list[str | Path] = ["podman", *WHERE, "--cgroup-manager", "cgroupfs"]
WITHOUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt")
"""What the slim images leave out, too."""


@pytest.fixture(scope="module")
def base() -> str:
    """Debian with Python; made once, then kept."""
    if os.geteuid() != 0:
        pytest.skip("missing: root, to make a base by debootstrap and to run an image by podman")
    installed("buildah", "podman", "runc", "debootstrap")
    if run([*BUILDAH, "inspect", "--type", "image", BASE]).returncode:
        tree = KEPT / "base"
        output(["rm", "-rf", tree])
        with_python = "--include=python3,python3-venv"
        fetched(BASE, ["debootstrap", "--variant=minbase", with_python, "trixie", tree, MIRROR])
        for folder in WITHOUT:
            output(["find", tree / folder, "-type", "f", "-delete"])
        made = output([*BUILDAH, "from", "scratch"]).strip()
        output([*BUILDAH, "add", "--quiet", made, tree, "/"])
        output([*BUILDAH, "commit", "--quiet", "--rm", made, BASE])
        output(["rm", "-rf", tree])
    return BASE


def of_this_machine() -> list[str]:
    """What pip and apt need here to reach a registry through a proxy; no part of the image."""
    files = {
        Path("/etc/pip.conf"),
        *(Path(os.environ.get(n, "/")) for n in ("PIP_CERT", "SSL_CERT_FILE")),
    }
    there = [file for file in sorted(files) if file.is_file()]
    return [word for file in there for word in ("--volume", f"{file}:{file}:ro")]


@pytest.fixture(scope="module")
def revision() -> str:
    return run(["git", "rev-parse", "HEAD"]).stdout.strip() or "unknown"


@pytest.fixture(scope="module")
def image(base: str, revision: str) -> str:
    build = [
        *BUILDAH,
        "bud",
        "--isolation",
        "chroot",
        "--pull-never",
        "--format",
        "docker",
        "--layers",
    ]
    arguments = ["--build-arg", f"BASE={base}", "--build-arg", f"REVISION={revision}"]
    output([*build, *of_this_machine(), *arguments, "--tag", IMAGE, ROOT])
    return IMAGE


@pytest.fixture(scope="module")
def about(image: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(output([*PODMAN, "image", "inspect", image]))[0]
    return told


@pytest.fixture(scope="module")
def running(image: str) -> Iterator[dict[str, Any]]:
    """What a container of it tells of itself; `started_s` is from the command to its first 200."""
    run([*PODMAN, "rm", "--force", NAME])
    began = time.monotonic()
    demo = [image, "demo", "--host", "0.0.0.0"]
    output([*PODMAN, "run", "--detach", "--name", NAME, *HARDENED, *demo])
    try:
        script = (ROOT / "tests/ops/asking.py").read_text()
        exec_ = [*PODMAN, "--runtime", "runc", "exec", NAME]
        found = json.loads(output([*exec_, "python3", "-I", "-c", script]))
        found["started_s"] = found["lived_at"] - began
        found["exec"] = exec_
        yield found
    finally:
        run([*PODMAN, "rm", "--force", NAME])


def test_it_is_small(about: dict[str, Any], reached: Reached) -> None:
    size = about["Size"] / 1e6
    reached("operations", "image, on Debian's own Python", f"{size:.0f} MB", f"< {MOST_MB} MB")
    assert size < MOST_MB


def test_it_says_what_it_is(about: dict[str, Any], revision: str) -> None:
    config = about["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["tollgate"]
    assert config["Labels"]["org.opencontainers.image.version"] == gateway.__version__
    assert config["Labels"]["org.opencontainers.image.revision"] == revision
    assert about["Healthcheck"]["Test"][0] == "CMD"


def test_it_answers_with_no_rights(running: dict[str, Any], reached: Reached) -> None:
    told = f"{running['started_s']:.1f} s, {running['rss_mb']:.0f} MB"
    what = "image: `podman run` to the first 200; memory with the simulator"
    reached("operations", what, told, "-")
    status, body = running["chat"]
    assert status == 200
    assert body["choices"][0]["message"]["content"] == 'You said: "hello"'
    assert running["uid"] == 10001
    assert running["capabilities"] == 0
    assert running["no_new_privileges"] == "1"
    assert running["wrote"] == [TMP]


def test_it_has_the_table_of_the_tokenizer(running: dict[str, Any]) -> None:
    """There is no network to fetch it from."""
    assert running["tokens"] == [83, 8251, 2488, 382, 2212, 0]


def test_its_own_check_finds_it_well(running: dict[str, Any], about: dict[str, Any]) -> None:
    _, *check = about["Healthcheck"]["Test"]
    assert run([*running["exec"], *check]).returncode == 0


@pytest.mark.parametrize("program", ["pip", "pip3", "curl", "gcc", "strip"])
def test_there_is_nothing_to_install_or_fetch_with(running: dict[str, Any], program: str) -> None:
    assert run([*running["exec"], program, "--version"]).returncode != 0


def test_told_to_end_it_ends_well(running: dict[str, Any]) -> None:
    """The last one: nothing runs after it."""
    output([*PODMAN, "stop", "--time", "40", NAME])
    ended = output([*PODMAN, "inspect", "--format", "{{.State.ExitCode}}", NAME])
    assert ended.strip() == "0"
