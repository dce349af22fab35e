"""The base and the production overlay: composed by kustomize, held against Kubernetes' schemas."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import gateway
from gateway.commands.shutdown import LAST_S
from gateway.config.load import load
from gateway.drivers.metrics.catalogue import METRICS
from tests.ops.packages import ROOT, of_trixie, output, run
from tests.promises import Reached

FOLDER = ROOT / "deploy/kubernetes"
OLDEST = "1.31"
OBJECTS = {
    "base": {"ServiceAccount", "ConfigMap", "Service", "Deployment"},
    "production": {
        *("ServiceAccount", "ConfigMap", "Service", "Deployment", "Namespace"),
        *("HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"),
    },
}


@pytest.fixture(scope="module")
def kustomize() -> list[str]:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    return [str(of_trixie("kustomize", "usr/bin/kustomize")), "build"]


@pytest.fixture(scope="module", params=OBJECTS)
def composed(
    request: pytest.FixtureRequest, kustomize: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    there = tmp_path_factory.mktemp("kubernetes") / f"{request.param}.yaml"
    there.write_text(output([*kustomize, FOLDER / request.param]))
    return there


@pytest.fixture(scope="module")
def objects(kustomize: list[str]) -> dict[str, dict[str, Any]]:
    made = yaml.safe_load_all(output([*kustomize, FOLDER / "production"]))
    return {each["kind"]: each for each in made}


@pytest.fixture(scope="module")
def validate() -> list[str | Path]:
    """It brings 100 MB of schemas, so it is in an environment of its own: make ops."""
    for place in (ROOT / ".venv-ops/bin", Path(sys.executable).parent):
        if (place / "kubernetes-validate").exists():
            return [place / "kubernetes-validate", "--strict"]
    pytest.skip("missing: kubernetes-validate (make ops)")


@pytest.mark.parametrize("version", [OLDEST, "newest"])
def test_each_object_is_what_kubernetes_knows(
    composed: Path, validate: list[str | Path], version: str, reached: Reached
) -> None:
    which = [] if version == "newest" else ["-k", version]
    ran = run([*validate, *which, composed])
    what = f"kubernetes-validate --strict, {composed.stem}, {version}: findings"
    found = 0 if ran.returncode == 0 else len((ran.stdout + ran.stderr).splitlines())
    reached("operations", what, str(found), "0")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = (ran.stdout + ran.stderr).count(" passed for resource ")
    assert passed == len(OBJECTS[composed.stem])


def test_a_misspelt_field_is_found(validate: list[str | Path], tmp_path: Path) -> None:
    """So its silence above says something."""
    text = (FOLDER / "base/service.yaml").read_text()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("targetPort", "targetport"))
    ran = run([*validate, wrong])
    assert ran.returncode != 0
    assert "targetport" in ran.stdout + ran.stderr


def test_each_object_is_there(composed: Path) -> None:
    kinds = [each["kind"] for each in yaml.safe_load_all(composed.read_text())]
    assert sorted(kinds) == sorted(OBJECTS[composed.stem])


def container(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (only,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_a_pod_has_no_rights(objects: dict[str, dict[str, Any]]) -> None:
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container(objects)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    enforced = objects["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


def test_a_lost_ledger_restarts_nobody(objects: dict[str, dict[str, Any]]) -> None:
    asked = {
        probe: container(objects)[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert asked == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }


def test_resources_are_told(objects: dict[str, dict[str, Any]]) -> None:
    told = container(objects)["resources"]
    assert told["requests"].keys() == {"cpu", "memory"}
    assert told["limits"].keys() == {"memory"}, "throttled, it would hold up every stream"


def test_there_are_three_and_one_may_go(objects: dict[str, dict[str, Any]]) -> None:
    assert objects["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 3
    assert "replicas" not in objects["Deployment"]["spec"], "it would undo the autoscaler's number"
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    rolling = objects["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}


def test_what_selects_pods_selects_these(objects: dict[str, dict[str, Any]]) -> None:
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    chosen = {
        "Deployment": objects["Deployment"]["spec"]["selector"]["matchLabels"],
        "Service": objects["Service"]["spec"]["selector"],
        "PodDisruptionBudget": objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    }
    for kind, wanted in chosen.items():
        assert wanted, f"{kind} selects all pods of the namespace"
        assert wanted.items() <= labels.items(), kind


def test_it_grows_with_requests_in_flight(objects: dict[str, dict[str, Any]]) -> None:
    first, second = objects["HorizontalPodAutoscaler"]["spec"]["metrics"]
    name = first["pods"]["metric"]["name"]
    assert METRICS[name].kind == "gauge"
    assert second["resource"]["name"] == "cpu"
    (rule,) = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert rule["name"] == {"as": name}
    assert rule["seriesQuery"].startswith(f"{name}{{")


def test_the_network_is_shut_but_for_what_is_needed(objects: dict[str, dict[str, Any]]) -> None:
    policy = objects["NetworkPolicy"]["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    for rule in policy["ingress"]:
        assert all(peer.get("namespaceSelector") for peer in rule["from"])
        assert rule["ports"] == [{"protocol": "TCP", "port": "http"}]
    (outside,) = [rule for rule in policy["egress"] if "ipBlock" in rule["to"][0]]
    assert "169.254.0.0/16" in outside["to"][0]["ipBlock"]["except"], "where clouds tell secrets"
    assert outside["ports"] == [{"protocol": "TCP", "port": 443}]


def test_secrets_come_from_a_secret(objects: dict[str, dict[str, Any]]) -> None:
    assert container(objects)["envFrom"] == [{"secretRef": {"name": "tollgate"}}]
    assert "env" not in container(objects)
    asked = set(re.findall(r"\$\{(\w+)\}", objects["ConfigMap"]["data"]["gateway.yaml"]))
    page = (ROOT / "docs/deploy.md").read_text()
    assert [name for name in sorted(asked) if f"{name}=" not in page] == []


def test_its_configuration_is_sound_and_has_the_time_to_end(
    objects: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    text = objects["ConfigMap"]["data"]["gateway.yaml"]
    (tmp_path / "gateway.yaml").write_text(text)
    env = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "a-secret-of-the-test")
    env |= {"TOLLGATE_REDIS_URL": "redis://r:6379", "TOLLGATE_KEY_HASH": f"sha256:{'0' * 64}"}
    server = load([tmp_path], env).server
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    needed = server.drain_delay_s + server.drain_timeout_s + LAST_S
    assert pod["terminationGracePeriodSeconds"] > needed
    ready = container(objects)["readinessProbe"]
    assert server.drain_delay_s > ready["periodSeconds"] * ready["failureThreshold"] + 1


def test_the_image_is_the_one_of_this_version(objects: dict[str, dict[str, Any]]) -> None:
    _, _, tag = container(objects)["image"].rpartition(":")
    assert tag == gateway.__version__
