"""Whether the append-only file of a stopped store can be read, by the server's own checker.

The checker is the server's binary under another name, so it is there wherever the store is. It is given one file after
another: told of all at once, that of Valkey 9.1 calls a sound base file damaged.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from leaderboard.doctor.check import CannotLookError, Fault, Status
from leaderboard.store.engine import Engine

#: It reads some hundred megabytes a second.
PATIENCE_S = 120.0

#: Nothing that is written in one go is longer; so a longer end that cannot be read was whole once.
TORN_BYTES = 4 * 2**20

_ANALYZED = re.compile(r"size=(\d+), ok_up_to=(\d+)")
_LINE = re.compile(rb"([*$])(\d+)\r\n")
_LISTED = re.compile(r"^file (\S+) seq \d+ type ([bhi])", re.M)


@dataclass(frozen=True, slots=True)
class _End:
    """Where a file stops making sense."""

    readable: int
    rest: int
    #: A write was cut off there; else it is damaged.
    torn: bool


def look_through(directory: Path, engine: Engine) -> list[Fault]:
    """What is wrong with the files that the manifest in a directory names."""
    manifests = sorted(directory.glob("*.manifest"))
    if not manifests:
        return []
    listed = [(match[1], match[2]) for match in _LISTED.finditer(manifests[-1].read_text())]
    faults = [
        Fault(
            Status.PROBLEM,
            f"{directory / name} is missing, so the store does not start.",
            "Put it back from a backup; or move the store's directory away: `leaderboard serve` then makes the store "
            "anew from the archive.",
        )
        for name, kind in listed
        if kind != "h" and not (directory / name).exists()
    ]
    records = [directory / name for name, kind in listed if kind == "i" and (directory / name).exists()]
    for path in records:
        end = _check(path, engine)
        if end is not None:
            faults.append(_torn(path, end) if end.torn and path == records[-1] else _damaged(path, end, engine))
    return faults


def _torn(path: Path, end: _End) -> Fault:
    return Fault(
        Status.WARNING,
        f"The last {end.rest} bytes of {path} were cut off while they were written, by a crash or a full disk.",
        "Start the store: it drops them. They were never acknowledged.",
    )


def _damaged(path: Path, end: _End, engine: Engine) -> Fault:
    command = shlex.join(["exec", "-a", _checker(engine), str(_binary(engine)), "--fix", str(path)])
    return Fault(
        Status.PROBLEM,
        f"{path} is damaged after byte {end.readable}, and {end.rest} bytes follow; the store does not start with it.",
        f"Keep a copy of the directory. Then cut off what follows the damage with ({command}) in bash, or move the "
        "directory away. In both cases `leaderboard serve` brings back from the archive what was archived.",
    )


def _check(path: Path, engine: Engine) -> _End | None:
    """None for a file that is sound."""
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own server, no shell; it only reads
            [_checker(engine), str(path)],
            executable=_binary(engine),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotLookError(f"{path} could not be checked: {error}") from error
    if done.returncode == 0:
        return None
    analyzed = _ANALYZED.search(done.stdout)
    if analyzed is None:
        raise CannotLookError(f"{path} could not be checked: {done.stdout.strip() or done.stderr.strip()}")
    size, readable = int(analyzed[1]), int(analyzed[2])
    rest = size - readable
    return _End(readable, rest, torn=rest <= TORN_BYTES and _is_torn(path.read_bytes()[readable:]))


def _is_torn(end: bytes) -> bool:
    """Whether it is in order, but for what would follow: the beginning of a record, or of what a MULTI holds together.

    The checker's words do not tell that from damage, with which the server does not start.
    """
    at = 0
    try:
        while True:
            parts, at = _number(end, at, b"*")
            for _ in range(parts):
                size, at = _number(end, at, b"$")
                at += size + len(b"\r\n")
                if at > len(end):
                    return True
                if end[at - 2 : at] != b"\r\n":
                    return False
    except EOFError:
        return True
    except ValueError:
        return False


def _number(end: bytes, at: int, mark: bytes) -> tuple[int, int]:
    """The number of a line such as `*3`, and where the next line begins."""
    stop = end.find(b"\n", at) + 1
    if not stop and end[at : at + 1] in (b"", mark):
        raise EOFError
    match = _LINE.fullmatch(end, at, stop or len(end))
    if match is None or match[1] != mark:
        raise ValueError
    return int(match[2]), stop


def _checker(engine: Engine) -> str:
    return f"{engine.name.lower()}-check-aof"


def _binary(engine: Engine) -> str:
    return shutil.which(engine.path) or engine.path
