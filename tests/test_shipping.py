"""What is shipped beside the code: the image, the compose file."""

import json
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

import gateway
from gateway.commands.shutdown import LAST_S
from gateway.config.faults import ConfigError
from gateway.config.load import load
from gateway.config.server import Server
from gateway.drivers import exact_tokens
from tests.promises import Reached

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text().splitlines()
DIGEST = r"@sha256:[0-9a-f]{64}"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


# ---- the image


def test_hadolint_finds_nothing(reached: Reached) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    found = (ran.stdout + ran.stderr).splitlines()
    reached("operations", "hadolint: findings", str(len(found)), "0")
    assert (ran.returncode, found) == (0, [])


def test_the_image_is_locked_and_has_no_rights() -> None:
    installs = [line for line in DOCKERFILE if re.search(r"pip (install|download)", line)]
    assert installs, "nothing is installed"
    for line in installs:
        locked = "--require-hashes --only-binary :all:" in line
        assert locked or "--no-deps --no-build-isolation" in line, line
    users = [line.split()[1] for line in DOCKERFILE if line.startswith("USER ")]
    assert users == ["10001:10001"]
    assert any(line.startswith("HEALTHCHECK ") for line in DOCKERFILE)
    assert not re.search(r"\b(curl|wget)\b", "\n".join(DOCKERFILE))
    bases = [line.removeprefix("ARG BASE=") for line in DOCKERFILE if line.startswith("ARG BASE=")]
    assert len(bases) == 1
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+" + DIGEST, bases[0])


def test_the_image_says_what_it_is() -> None:
    text = "\n".join(DOCKERFILE)
    labels = dict(re.findall(r"org\.opencontainers\.image\.(\w+)=\"([^\"]+)\"", text))
    assert labels.keys() == {"title", "description", "version", "revision", "licenses"}
    assert labels["version"] == gateway.__version__
    assert SERVICES["gateway"]["image"] == f"tollgate:{gateway.__version__}"


def test_the_table_of_the_tokenizer_is_the_one_that_is_looked_for() -> None:
    text = "\n".join(DOCKERFILE)
    assert set(re.findall(r"tiktoken_cache/(\w+)", text)) == {exact_tokens.TABLE_NAME}
    (line,) = [line for line in DOCKERFILE if "table.sha256" in line and "echo" in line]
    assert f'"{exact_tokens._SHA256}  /opt/tables/{exact_tokens.TABLE_NAME}"' in line
    assert "TIKTOKEN_CACHE_DIR=/opt/tables" in text
    (package,) = re.findall(r"sed -n '/\^([\w-]+)==/", text)
    assert f"\n{package}==" in (ROOT / "requirements-clients.lock").read_text()


def test_what_the_image_copies_reaches_the_builder() -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied: set[str] = set()
    for line in DOCKERFILE:
        if line.startswith("COPY ") and "--from" not in line:
            copied.update(line.split()[1:-1])
    assert {"deploy/image" if name.startswith("deploy/image/") else name for name in copied} == (
        allowed
    )
    assert [name for name in sorted(copied) if not (ROOT / name).exists()] == []


def test_the_images_own_check_tells_life_from_anything_else() -> None:
    """The check of the image, asked on another port, of a server that says what it is told."""
    (check,) = re.findall(r"CMD (\[\"python3\", .*\])$", "\n".join(DOCKERFILE), re.MULTILINE)
    for said, code in (("200 OK", 0), ("503 Service Unavailable", 1)):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            answer = threading.Thread(target=answer_once, args=(listening, said))
            answer.start()
            _, flags, script = json.loads(check)
            script = script.replace("4000", str(listening.getsockname()[1]))
            ran = subprocess.run([sys.executable, flags, script], check=False)
            answer.join()
        assert ran.returncode == code, said


def answer_once(listening: socket.socket, said: str) -> None:
    connection, _ = listening.accept()
    with connection:
        asked = connection.recv(1000)
        assert asked.startswith(b"GET /livez HTTP/1.1\r\n")
        connection.sendall(f"HTTP/1.1 {said}\r\ncontent-length: 0\r\n\r\n".encode())


# ---- the compose file


def test_nothing_listens_beyond_this_machine() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            local = r"127\.0\.0\.1:(\d+|\$\{\w+:-\d+\}):\d+"
            assert re.fullmatch(local, str(port)), f"{name} publishes {port}"
        assert service.get("network_mode") is None, name
    assert "ports" not in SERVICES["valkey"], "the ledger is nobody's business"


def test_only_the_gateway_reaches_the_ledger() -> None:
    reach = {name for name, service in SERVICES.items() if "ledger" in service["networks"]}
    assert reach == {"gateway", "providers", "valkey"}
    assert COMPOSE["networks"]["ledger"] == {"internal": True}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_watched_and_confined(name: str) -> None:
    service = SERVICES[name]
    ours = "build" in service
    pinned = r"[\w/]+:v?\d+\.\d+\.\d+(-alpine)?" + ("" if ours else DIGEST)
    assert re.fullmatch(pinned, service["image"]), f"{service['image']} is not exact"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not re.match(r"(root|0)\b", service["user"])
    assert service["healthcheck"]["interval"]
    # The gateway's own test is in its image.
    assert "test" in service["healthcheck"] or ours
    assert service["tmpfs"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    for needed in service.get("depends_on", {}).values():
        assert needed == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", ["gateway", "providers"])
def test_answers_on_their_way_have_the_time_to_end(name: str) -> None:
    config = {"gateway": "demo.yaml", "providers": "gateway.yaml"}[name]
    told = yaml.safe_load((ROOT / "config" / config).read_text()).get("server", {})
    server = Server(**told)
    needed = server.drain_delay_s + server.drain_timeout_s + LAST_S
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > needed


def test_the_ledger_keeps_what_it_is_told() -> None:
    command = " ".join(SERVICES["valkey"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "ledger:/data" in SERVICES["valkey"]["volumes"]


def test_no_secret_is_written_down() -> None:
    telling = re.compile(r"key|password|secret|token", re.IGNORECASE)
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if telling.search(variable):
                assert re.fullmatch(r"\$\{\w+:-\}", value), f"{name}: {variable} has a value"
    for variable, value in example().items():
        if telling.search(variable):
            assert value == "", f".env.example: {variable} has a value"


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_example_has_every_variable_that_is_asked_for() -> None:
    compose = re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())
    config = re.sub(r"^ *#.*", "", (ROOT / "config/gateway.yaml").read_text(), flags=re.MULTILINE)
    needed = re.findall(r"\$\{(\w+)\}", config)
    others = {"TOLLGATE_KEY_HASH", "COMPOSE_PROFILES"}  # it has a default, and compose's own
    assert {*compose, *needed} | others == example().keys()


def test_grafana_refuses_to_start_without_a_password() -> None:
    *shell, script = SERVICES["grafana"]["entrypoint"]
    script = script.replace("$$", "$").replace("exec /run.sh", "echo started")
    for password, said in (("", "set GRAFANA_PASSWORD"), ("x", "started")):
        environment = {"GF_SECURITY_ADMIN_PASSWORD": password}
        ran = subprocess.run(
            [*shell, script], env=environment, capture_output=True, text=True, check=False
        )
        assert said in (ran.stdout + ran.stderr).strip()
        assert (ran.returncode == 0) is bool(password)


def test_without_keys_the_real_gateway_tells_each_that_is_missing() -> None:
    """What compose would do with `${KEY:?}`, but for this service only."""
    given = dict.fromkeys(example(), "")
    with pytest.raises(ConfigError) as told:
        load([ROOT / "config/gateway.yaml"], given)
    wanted = {f"providers.{name}.api_key" for name in ("openai", "anthropic", "groq")}
    assert {where for where in wanted if where in str(told.value)} == wanted


# ---- Prometheus and Grafana; their rules and dashboards are in test_monitoring.py


def test_prometheus_asks_the_gateway_where_it_listens() -> None:
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = [t for job in scrape["scrape_configs"] for t in job["static_configs"][0]["targets"]]
    (published,) = SERVICES["gateway"]["ports"]
    assert targets == [f"gateway:{published.rpartition(':')[2]}"]


def test_grafana_finds_what_it_is_given() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    mounts = dict(v.split(":")[:2] for v in SERVICES["grafana"]["volumes"])
    for source, inside in mounts.items():
        if source.startswith("."):
            assert (ROOT / source).is_dir(), f"{source} is not there to be mounted on {inside}"
    provider = yaml.safe_load((provisioning / "dashboards/tollgate.yml").read_text())
    folder = provider["providers"][0]["options"]["path"]
    assert mounts["./deploy/grafana/dashboards"] == folder
    source = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
