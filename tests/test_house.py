"""The shape of the house, kept by a machine: sizes, names, the map, the lock."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gateway
from gateway import core
from gateway.core.packages import PACKAGES

ROOT = Path(__file__).parent.parent
HOUSE = sorted((ROOT / "gateway").rglob("*.py"))
CORE = sorted((ROOT / "gateway/core").rglob("*.py"))
PYPROJECT = (ROOT / "pyproject.toml").read_text()
LOCKS = (
    *("requirements.lock", "requirements-runtime.lock", "requirements-clients.lock"),
    *("tests/ops/requirements.lock", "deploy/manual/requirements.lock"),
)
NPM = ROOT / "tests/clients/npm"

LONGEST = 300
LONG_FOR_A_REASON: dict[str, str] = {}  # "gateway/room/file.py": "why it may be longer"

# A name that says nothing about what is inside.
EMPTY_NAME = re.compile(r"(util|helper|manager|service)s?|common|base|misc")


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """Each module and each `module.name` that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def environment(tree: ast.AST) -> Iterator[str]:
    """Each place where a file reaches for the process environment."""
    names = {f"os.{n}" for n in ("environ", "environb", "getenv", "getenvb", "putenv")}
    yield from (found for found in imports(tree) if found in names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in names:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_no_file_is_long() -> None:
    long = {name(p): lines(p) for p in HOUSE if lines(p) > LONGEST}
    assert long.keys() - LONG_FOR_A_REASON.keys() == set(), f"over {LONGEST} lines: {long}"
    assert LONG_FOR_A_REASON.keys() <= long.keys(), "an exception is no longer needed"


def test_names_say_what_is_inside() -> None:
    parts = {part for p in HOUSE for part in p.relative_to(ROOT).with_suffix("").parts}
    assert [part for part in sorted(parts) if EMPTY_NAME.fullmatch(part)] == []


def test_the_map_is_the_tree() -> None:
    assert gateway.__doc__ is not None
    drawn = re.findall(r"^ {4}(\w+) {2,}\S", gateway.__doc__, flags=re.MULTILINE)
    there = {p.relative_to(ROOT / "gateway").parts[0].removesuffix(".py") for p in HOUSE}
    assert sorted(drawn) == sorted(there - {"__init__"})


def test_the_map_of_core_is_the_tree() -> None:
    assert core.__doc__ is not None
    drawn = re.findall(r" {2,}((?:\w+, )*\w+,?)$", core.__doc__, flags=re.MULTILINE)
    there = {p.relative_to(ROOT / "gateway/core").parts[0].removesuffix(".py") for p in CORE}
    assert sorted(re.findall(r"\w+", " ".join(drawn))) == sorted(there - {"__init__"})


def test_the_map_and_the_contract_agree() -> None:
    assert gateway.__doc__ is not None
    layers = tomllib.loads(PYPROJECT)["tool"]["importlinter"]["contracts"][0]["layers"]
    drawn = " ".join(gateway.__doc__.partition("Imports point downward only:")[2].split())
    assert drawn == " > ".join(re.sub("[()]", "", layer) for layer in layers) + "."


@pytest.mark.parametrize("room", ["gateway", "tests", "benchmarks"])
def test_fakes_are_written_not_patched(room: str) -> None:
    for path in sorted((ROOT / room).rglob("*.py")):
        mocked = [m for m in imports(ast.parse(path.read_text())) if m.startswith("unittest")]
        assert mocked == [], f"{name(path)}: write a fake that obeys the port's contract"


def test_one_reader_of_the_environment() -> None:
    for path in HOUSE:
        if name(path) != "gateway/__main__.py":
            found = list(environment(ast.parse(path.read_text())))
            assert found == [], f"{name(path)}: only gateway/__main__.py reads the environment"


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A']",
        "from os import environ",
        "from os import getenv as g",
        "import os\nx = os.getenv('A')",
    ],
)
def test_the_environment_is_noticed(source: str) -> None:
    assert list(environment(ast.parse(source)))


# ---- what is installed


def pinned(lock: str) -> dict[str, tuple[Requirement, list[str]]]:
    """Each entry of a lock: its requirement and its hashes, by canonical name."""
    found: dict[str, tuple[Requirement, list[str]]] = {}
    for entry in re.split(r"\n(?=[\w.-]+==)", (ROOT / lock).read_text()):
        requirement = Requirement(entry.splitlines()[0].rstrip("\\ "))
        hashes = re.findall(r"--hash=(\S+)", entry)
        found[canonicalize_name(requirement.name)] = (requirement, hashes)
    return found


def test_every_lock_is_looked_at() -> None:
    """And made by `make lock`: what it does not make grows old unseen."""
    made = re.findall(r"--output-file (\S+)", (ROOT / "Makefile").read_text())
    assert sorted(made) == sorted(LOCKS)
    ours = subprocess.run(
        ["git", "ls-files", "*.lock"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ours.returncode == 0:  # in a tree without git there is nothing to ask
        assert sorted(ours.stdout.split()) == sorted(LOCKS)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_exact_and_hashed(lock: str) -> None:
    for package, (requirement, hashes) in pinned(lock).items():
        assert re.fullmatch(r"==[\w.+!]+", str(requirement.specifier)), f"{package} is not exact"
        assert hashes, f"{package} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes), package


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_machine(lock: str) -> None:
    for number, line in enumerate((ROOT / lock).read_text().splitlines(), 1):
        place = re.search(r"://|file:|(^|[\s=@])[/~]|^\s*-(?!-hash=)|^\s*--(?!hash=)", line)
        assert place is None, f"{lock}:{number}: {line}"


def test_npms_lock_is_exact_and_names_no_registry() -> None:
    asked = json.loads((NPM / "package.json").read_text())["dependencies"]
    lock = json.loads((NPM / "package-lock.json").read_text())
    packages = dict(lock["packages"])
    assert packages.pop("")["dependencies"] == asked, "package-lock.json is older: make lock"
    for package, version in asked.items():
        assert packages[f"node_modules/{package}"]["version"] == version, f"{package} is not exact"
    for place, package in packages.items():
        assert re.fullmatch(r"sha512-[\w+/]+=*", package["integrity"]), f"{place} has no hash"
        assert "resolved" not in package, f"{place} is from {package['resolved']}"


def wanted(*groups: str, ours: bool = True) -> list[Requirement]:
    project: dict[str, Any] = tomllib.loads(PYPROJECT)
    lines = list(project["project"]["dependencies"]) if ours else []
    for group in groups:
        lines += [line for line in project["dependency-groups"][group] if isinstance(line, str)]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize(
    ("lock", "wants"),
    [
        ("requirements.lock", wanted("build", "dev")),
        ("requirements-runtime.lock", wanted("build")),
        ("requirements-clients.lock", wanted("clients", ours=False)),
    ],
)
def test_a_lock_holds_what_pyproject_asks(lock: str, wants: list[Requirement]) -> None:
    have = pinned(lock)
    for want in wants:
        package = canonicalize_name(want.name)
        assert package in have, f"{package} is not in {lock}: make lock"
        version = str(have[package][0].specifier).removeprefix("==")
        assert want.specifier.contains(version, prereleases=True), f"{want}: make lock"


def test_the_image_gets_what_was_tested() -> None:
    everything, image = (pinned(lock) for lock in LOCKS[:2])
    for package, (requirement, hashes) in image.items():
        assert requirement.specifier == everything[package][0].specifier, f"{package}: make lock"
        assert sorted(hashes) == sorted(everything[package][1]), f"{package}: make lock"


def test_a_package_that_is_missing_is_named_as_it_is_required() -> None:
    """By its own name: what PyPI has as `tollgate` is another project."""
    extras = tomllib.loads(PYPROJECT)["project"]["optional-dependencies"]
    assert {name: list(packages) for name, packages in PACKAGES.items()} == extras
    texts = [
        *(path.read_text() for path in HOUSE),
        *(p.read_text() for p in ROOT.glob("docs/*.md")),
    ]
    assert not [text for text in texts if "install 'tollgate" in text]


def test_what_is_imported_is_installed_with_us() -> None:
    """A command that imports what only the workshop has works nowhere else."""
    project: dict[str, Any] = tomllib.loads(PYPROJECT)["project"]
    extras = [
        Requirement(each) for those in project["optional-dependencies"].values() for each in those
    ]
    there = {
        *pinned("requirements-runtime.lock"),
        *(canonicalize_name(each.name) for each in extras),
    }
    known = packages_distributions()
    for path in HOUSE:
        for module in imports(ast.parse(path.read_text())):
            top = module.partition(".")[0]
            if top != "gateway" and top not in sys.stdlib_module_names:
                found = {canonicalize_name(each) for each in known[top]}
                assert found & there, f"{name(path)}: {top} is of no dependency"


def test_what_is_in_config_is_installed_with_us() -> None:
    told = tomllib.loads(PYPROJECT)["tool"]["setuptools"]["data-files"]
    put = {
        place: sorted(each for of in those for each in ROOT.glob(of))
        for place, those in told.items()
    }
    have = sorted(path for path in (ROOT / "config").rglob("*") if path.is_file())
    assert sorted(path for those in put.values() for path in those) == have
    for place, those in put.items():
        for path in those:
            assert place == (Path("share/tollgate") / path.parent.relative_to(ROOT)).as_posix()


def test_each_dependency_has_a_reason() -> None:
    block = PYPROJECT.split("\ndependencies = [\n")[1].split("\n]")[0].splitlines()
    bare = [line.strip() for line in block if not re.search(r'",\s+# \S', line)]
    assert len(block) == len(wanted()), "one dependency a line"
    assert bare == [], "say in a comment what it is for"


# ---- what people are told


def test_where_things_go_is_there() -> None:
    guide = (ROOT / ".github/CONTRIBUTING.md").read_text()
    told = re.findall(r"`((?:gateway|tests|config|deploy)/[\w./-]*)`", guide)
    assert len(told) > 10
    assert [place for place in told if not (ROOT / place).exists()] == []


def test_the_newest_release_is_in_the_changelog() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", gateway.__version__]


def test_ci_runs_what_people_run() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111, "not executable"
    steps = re.findall(r"^make (\S+)$", script.read_text(), re.MULTILINE)
    assert steps == ["test", "clients-test", "ops-test", "docs", "bench-gate"]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert re.findall(r"run: make (\S+)$", workflow, re.MULTILINE) == steps
    # It is not root there: what the tests would install as root, and fail without, comes first.
    installed = re.search(r"apt-get install .*", workflow.partition("run: make test")[0])
    assert installed, "nothing is installed before the tests"
    assert {"prometheus", "nginx", "strace"} <= set(installed[0].split())
    for action in re.findall(r"uses: (\S+)", workflow):
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), f"{action}: pin the commit"
