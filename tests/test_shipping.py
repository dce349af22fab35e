"""What is shipped beside the code: the image, the compose file, the dashboard."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.drivers.metric_catalogue import METRICS

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "deploy/grafana/dashboards/overview.json").read_text()
)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [(p["title"], target["expr"]) for p in PANELS for target in p["targets"]]

# What Prometheus adds to the name of a histogram.
SERIES = re.compile(r"(_bucket|_sum|_count)$")


# ---- the image


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_the_image_is_locked_and_has_no_rights() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert installs, "nothing is installed"
    for line in installs:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation" in line, line
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users[-1:] == ["10001:10001"], "the last USER is not a user without rights"
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    bases = [line.removeprefix("ARG BASE=") for line in lines if line.startswith("ARG BASE=")]
    assert len(bases) == 1
    assert re.fullmatch(r"python:\d+\.\d+-slim", bases[0])


def test_what_the_image_copies_reaches_the_builder() -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied: set[str] = set()
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied.update(line.split()[1:-1])
    assert copied == allowed
    assert [name for name in sorted(copied) if not (ROOT / name).exists()] == []


# ---- the compose file


def test_nothing_listens_beyond_this_machine() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", str(port)), f"{name} publishes {port}"
        assert service.get("network_mode") is None, name
    assert "ports" not in SERVICES["valkey"], "the ledger is nobody's business"


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_watched_and_confined(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].partition(":")[2]
    assert re.match(r"v?\d+\.\d+\.\d+", tag), f"{service['image']} is not an exact version"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["interval"]
    # The gateway's own test is in its image.
    assert "test" in service["healthcheck"] or "build" in service
    assert service["tmpfs"]
    assert service["stop_grace_period"]
    for needed in service.get("depends_on", {}).values():
        assert needed == {"condition": "service_healthy"}


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


def test_grafana_refuses_to_start_without_a_password() -> None:
    *shell, script = SERVICES["grafana"]["entrypoint"]
    script = script.replace("$$", "$").replace("exec /run.sh", "echo started")
    for password, said in (("", "set GRAFANA_PASSWORD"), ("x", "started")):
        environment = {"GF_SECURITY_ADMIN_PASSWORD": password}
        ran = subprocess.run(
            [*shell, script], env=environment, capture_output=True, text=True, check=False
        )
        assert (ran.stdout + ran.stderr).strip() == said
        assert (ran.returncode == 0) is bool(password)


@pytest.mark.parametrize(
    ("profile", "services"),
    [
        ([], {"gateway", "valkey"}),
        (["--profile", "monitoring"], {"gateway", "valkey", "prometheus", "grafana"}),
    ],
)
def test_compose_itself_accepts_it(profile: list[str], services: set[str]) -> None:
    compose = compose_command()
    if compose is None:
        pytest.skip("docker compose is not installed here; the facts above are checked without it")
    ran = subprocess.run(
        [*compose, "-f", ROOT / "docker-compose.yml", *profile, "config", "--services"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert set(ran.stdout.split()) == services


def compose_command() -> list[str] | None:
    """How to call compose v2 here: as docker's plugin or by its own name."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            said = subprocess.run(
                [*command, "version", "--short"], capture_output=True, text=True, check=False
            )
            if said.returncode == 0 and re.match(r"v?[2-9]", said.stdout):
                return command
    return None


# ---- Prometheus and the dashboard


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


def test_the_dashboard_is_whole() -> None:
    assert DASHBOARD["uid"]
    assert DASHBOARD["schemaVersion"] >= 39
    variables = {v["name"]: v["type"] for v in DASHBOARD["templating"]["list"]}
    assert variables["datasource"] == "datasource"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert len(PANELS) >= 20


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: p["title"])
def test_each_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith((".", "?"))
    assert panel["fieldConfig"]["defaults"]["unit"]
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert [panel["datasource"], *(t["datasource"] for t in panel["targets"])] == [source] * (
        1 + len(panel["targets"])
    )


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_a_ratio_is_a_rate_over_a_rate(title: str, expression: str) -> None:
    assert "clamp_min" not in expression, "it hides errors below one request a second"
    _, slash, below = expression.partition(" / ")
    if slash:
        assert re.fullmatch(r"\(.*> 0\)", below), f"{title}: nothing divides by zero: {below}"
        assert ("rate(" in expression.partition(" / ")[0]) == ("rate(" in below), title


def test_the_dashboard_asks_only_for_metrics_we_have() -> None:
    for title, expression in EXPRESSIONS:
        for name in re.findall(r"\bgateway_\w+", expression):
            assert {name, SERIES.sub("", name)} & set(METRICS), f"{title}: {name} is not ours"
