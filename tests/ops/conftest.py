"""What of this folder `make test` runs: that whose programs are here. The table at its end names
what was left out; `make ops-test` runs all of it, and fetches what is missing.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.ops.packages import FETCHES, KEPT, ROOT
from tests.promises import REACHED


def _prometheus() -> bool:
    return all(map(shutil.which, ("prometheus", "promtool")))


def _compose() -> bool:
    return (KEPT / "docker-compose").exists() or shutil.which("docker-compose") is not None


def _kubernetes() -> bool:
    composer = any(map(shutil.which, ("kustomize", "kubectl"))) or (KEPT / "kustomize").exists()
    return composer and (ROOT / ".venv-ops/bin/kubernetes-validate").exists()


NEEDS: Final[Mapping[str, tuple[bool, str, str]]] = {
    "test_rules.py": (_prometheus(), "alerts with a case that fires and one that must not", "all"),
    "test_panels.py": (_prometheus(), "panels with data", "all"),
    "test_compose.py": (_compose(), "docker compose config: findings", "0"),
    "test_kubernetes.py": (_kubernetes(), "kubernetes-validate --strict: findings", "0"),
    "test_manual_site.py": (False, "links of the manual that lead nowhere", "0"),
    "test_image.py": (False, "image", "< 200 MB"),
    "test_first_answer.py": (False, "first 200 from a clone, without downloads", "<= 60 s"),
}
"""Of a file whether it can run without fetching anything, and what it would have told."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    here, what, promise = NEEDS.get(collection_path.name, (True, "", ""))
    if FETCHES or here:
        return None
    stash = config.stash.setdefault(REACHED, {})
    stash.setdefault("operations", {})[what] = ("not run: make ops-test", promise)
    return True
