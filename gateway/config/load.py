"""YAML files to one snapshot: read, merge, check everything, build. All faults at once."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from msgspec import Struct

from gateway.config.admin import check_keys
from gateway.config.build import build_ledger, build_models, build_snapshot
from gateway.config.faults import ConfigError, Fault
from gateway.config.optional import check_tiers, leave_out, left_out_models
from gateway.config.references import check_references
from gateway.config.tree import Tree, merge, parse
from gateway.config.validate import validate
from gateway.core.snapshot import Ledger, Snapshot

_HASH: Final = 12
"""Hexadecimal digits."""


class Loaded(Struct, frozen=True):
    """A configuration, the files that it is of, and the beginning of the SHA-256 of their texts,
    one after the other. Variables are not in that.
    """

    snapshot: Snapshot
    hash: str
    files: tuple[str, ...] = ()

    def faults(self, paths: Iterable[str], message: str) -> list[Fault]:
        """The same fault at each of these places of it."""
        file = self.files[0] if self.files else "config"
        return [Fault(file, None, None, path, message) for path in paths]


def load_whole(
    paths: Sequence[Path], env: Mapping[str, str], *, at: datetime | None = None
) -> Loaded:
    """As `load`, with its hash and its files."""
    texts, faults = read_files(paths)
    return with_hash(read(texts, env, at=at, faults=faults), texts)


def with_hash(snapshot: Snapshot, texts: Sequence[tuple[str, str]]) -> Loaded:
    """A snapshot with its hash and its files: `texts` are those that it was read from."""
    digest = sha256("".join(text for _, text in texts).encode()).hexdigest()
    return Loaded(snapshot, digest[:_HASH], tuple(file for file, _ in texts))


Stamp = tuple[tuple[str, int, int, int, int, int, int], ...]


def stamp(paths: Sequence[Path], snapshot: Snapshot | None = None) -> Stamp:
    """Differs when a file was replaced, written, added or removed, or who may read it is another:
    for each its name, inode, size, mode, owner, group and modification time in nanoseconds. A link
    to nothing is one, as it is a fault. Never fails.

    The files of weights that a configuration names are among them.
    """
    files: list[Path] = []
    for path in paths:
        with suppress(OSError):
            files += _files([path], [])
    routes = () if snapshot is None else snapshot.catalog.routes.values()
    learned = [route.learned for route in routes if route.learned is not None]
    files += map(Path, sorted({each.file for each in learned if each.file}))
    stamps = []
    for file in files:
        with suppress(OSError):
            try:
                info = file.stat()
            except FileNotFoundError:
                info = file.lstat()
            access = (info.st_mode, info.st_uid, info.st_gid)
            stamps.append((str(file), info.st_ino, info.st_size, *access, info.st_mtime_ns))
    return tuple(stamps)


def load(paths: Sequence[Path], env: Mapping[str, str], *, at: datetime | None = None) -> Snapshot:
    """The configuration in these files; a folder is its *.yaml and *.yml in name order.

    `at` chooses among dated prices of genai-prices; None is the newest. Raises ConfigError with
    every fault there is.
    """
    texts, faults = read_files(paths)
    return read(texts, env, at=at, faults=faults)


def read(
    texts: Iterable[tuple[str, str]],
    env: Mapping[str, str],
    *,
    at: datetime | None = None,
    faults: Iterable[Fault] = (),
) -> Snapshot:
    """The configuration in these texts, each with the name of its file.

    `faults` are those of files that could not be read. References are only checked when every
    file could be: what a missing file names would be reported as unknown.
    """
    tree = read_trees(texts, env, faults)
    parts = validate(tree)
    check_references(tree, parts)
    check_keys(tree, parts.keys, parts.admin, parts.tenants)
    check_tiers(tree, parts, left_out_models(tree, parts))
    models = build_models(tree, parts, at)
    if tree.faults:
        raise ConfigError(in_order(tree.faults, tree))
    return build_snapshot(tree, parts, models)


def load_ledger(paths: Sequence[Path], env: Mapping[str, str]) -> Ledger | None:
    """The ledger, whatever else is wrong with the configuration; None where its own section is
    at fault.
    """
    texts, unread = read_files(paths)
    try:
        tree = read_trees(texts, env, unread)
    except ConfigError:
        return None
    redis = validate(tree).redis
    faulty = any(fault.path.partition(".")[0] == "redis" for fault in tree.faults)
    return None if faulty or tree.doubtful(("redis",)) else build_ledger(redis)


def read_files(paths: Sequence[Path]) -> tuple[list[tuple[str, str]], list[Fault]]:
    """The text of each file, with its name, and what could not be read."""
    faults: list[Fault] = []
    texts: list[tuple[str, str]] = []
    for file in _files(paths, faults):
        try:
            texts.append((str(file), file.read_bytes().decode("utf-8-sig")))
        except OSError as error:
            faults.append(_unreadable(file, error))
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            faults.append(Fault(str(file), line, None, "", "is not UTF-8"))
    return texts, faults


def read_trees(
    texts: Iterable[tuple[str, str]],
    env: Mapping[str, str],
    faults: Iterable[Fault] = (),
    stand_in: str | None = None,
) -> Tree:
    """All files as one; `stand_in` replaces variables that providers lack. Raises ConfigError
    when a file could not be read.
    """
    early = list(faults)
    trees: list[Tree] = []
    for file, text in texts:
        try:
            trees.append(parse(file, text, env, stand_in))
        except ConfigError as error:
            early += error.faults
    tree = merge(trees)
    if stand_in is None:
        leave_out(tree)
    if early:
        raise ConfigError(in_order(early + tree.faults, tree))
    return tree


def _files(paths: Sequence[Path], faults: list[Fault]) -> Iterable[Path]:
    for path in paths:
        try:
            files = _in_folder(path)
        except OSError as error:
            faults.append(_unreadable(path, error))
            continue
        if not files:
            faults.append(Fault(str(path), None, None, "", "has no .yaml file in it"))
        yield from files


def _in_folder(path: Path) -> list[Path]:
    """Its files in name order; or a path that is no folder itself."""
    if not path.is_dir():
        return [path]
    # A dangling link is read, so that it is a fault; an editor's lock file begins with a dot.
    return sorted(
        p
        for p in path.iterdir()
        if p.suffix in (".yaml", ".yml")
        and (p.is_file() or (p.is_symlink() and not p.exists() and p.name[0] != "."))
    )


def _unreadable(path: Path, error: OSError) -> Fault:
    return Fault(str(path), None, None, "", f"cannot be read: {error.strerror or 'unreadable'}")


def in_order(faults: Iterable[Fault], tree: Tree) -> list[Fault]:
    """In the order of files and lines, each once."""
    order = {file: i for i, file in enumerate(tree.files)}
    return sorted(
        dict.fromkeys(faults),
        key=lambda fault: (order.get(fault.file, -1), fault.line or 0, fault.column or 0),
    )
