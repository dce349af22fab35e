"""Where recorded answers come from: each format has a reader, by the file that shows it is one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.replay import lives, records
from gateway.replay.records import Records, Unusable

FORMATS: Final[Mapping[str, Callable[[Path, str | None], Records]]] = {
    records.MARK: lambda folder, smart: records.read_set(folder),
    lives.MARK: lambda folder, smart: lives.read_lives(folder / lives.MARK, smart),
}


def read(path: Path, smart: str | None = None) -> Records:
    """Of a folder, or of one file with lives. Raises Unusable."""
    if path.is_file():
        return lives.read_lives(path, smart)
    for mark, reader in FORMATS.items():
        if (path / mark).is_file():
            return reader(path, smart)
    raise Unusable(f"{path}: no recorded answers here (there is no {' or '.join(FORMATS)})")
