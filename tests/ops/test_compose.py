"""What compose itself says of docker-compose.yml, with each profile and without."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.ops.packages import ROOT, of_trixie, output, run
from tests.promises import Reached

DEMO = {"gateway", "valkey"}
MONITORING = {"prometheus", "grafana"}


@pytest.fixture(scope="session")
def compose() -> list[str]:
    """Compose version 2: as docker's plugin, by its own name, or Debian's."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            said = run([*command, "version", "--short"])
            if said.returncode == 0 and re.match(r"v?[2-9]", said.stdout):
                return command
    return [str(of_trixie("docker-compose", "usr/libexec/docker/cli-plugins/docker-compose"))]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The compose file, without a .env that may be beside the real one."""
    for name in ("docker-compose.yml", "deploy", "config"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def asked(compose: list[str], folder: Path, *words: str) -> tuple[int, str, str]:
    ran = run(
        [*compose, "--project-directory", folder, "-f", folder / "docker-compose.yml", *words]
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("profiles", "services"),
    [
        ([], DEMO),
        (["monitoring"], DEMO | MONITORING),
        (["providers"], DEMO | {"providers"}),
        (["providers", "monitoring"], DEMO | MONITORING | {"providers"}),
    ],
)
def test_each_profile_is_sound(
    compose: list[str], checkout: Path, profiles: list[str], services: set[str], reached: Reached
) -> None:
    if "providers" in profiles:
        (checkout / ".env").write_text("TOLLGATE_DEMO=1\n")
    words = [word for name in profiles for word in ("--profile", name)]
    code, told, wrong = asked(compose, checkout, *words, "config", "-q")
    what = f"docker compose config, {' and '.join(profiles) or 'no profile'}: findings"
    reached("operations", what, str(len((told + wrong).splitlines())), "0")
    assert (code, told, wrong) == (0, "", "")
    _, told, _ = asked(compose, checkout, *words, "config", "--services")
    assert set(told.split()) == services


def test_real_providers_need_their_file(compose: list[str], checkout: Path) -> None:
    code, _, told = asked(compose, checkout, "--profile", "providers", "config", "-q")
    assert code != 0
    assert ".env not found" in told


def test_the_example_makes_it_the_real_gateway_alone(compose: list[str], checkout: Path) -> None:
    shutil.copy(ROOT / ".env.example", checkout / ".env")
    code, told, wrong = asked(compose, checkout, "config")
    assert (code, wrong) == (0, "")
    services = yaml.safe_load(told)["services"]
    assert services.keys() == DEMO | {"providers"}
    assert services["gateway"]["deploy"]["replicas"] == 0
    (port,) = services["providers"]["ports"]
    assert (port["host_ip"], port["published"]) == ("127.0.0.1", "4000")


def test_a_word_that_compose_does_not_know_is_found(compose: list[str], tmp_path: Path) -> None:
    """So its silence above says something."""
    text = (ROOT / "docker-compose.yml").read_text()
    (tmp_path / "docker-compose.yml").write_text(text.replace("read_only:", "readonly:"))
    code, _, told = asked(compose, tmp_path, "config", "-q")
    assert code != 0
    assert "readonly" in told


def test_compose_was_asked_by_its_real_name(compose: list[str]) -> None:
    assert re.match(r"v?[2-9]", output([*compose, "version", "--short"]))
