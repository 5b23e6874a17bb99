"""Where the embedded store's socket stands: in its directory, or in a temporary one where that cannot be.

Some paths are too long for a socket (107 bytes on Linux, 103 on macOS), and some mounts take none.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote

_NAME = "store.sock"
#: Beside the data, it names the socket that stands elsewhere, so that the start after a kill can clean up.
_ELSEWHERE = "socket"
#: A temporary directory's path up to this many bytes leaves room for the rest.
_SHORT_BYTES = 64


def place_socket(directory: Path) -> Path:
    """Return a path for the socket, which only this user can reach; the caller holds the directory's lock."""
    note = directory / _ELSEWHERE
    if note.exists():
        remove_socket(directory, Path(note.read_text()))
    here = directory / _NAME
    here.unlink(missing_ok=True)
    # Trying is the only test that covers every system's limit and every kind of mount.
    with socket.socket(socket.AF_UNIX) as trial, contextlib.suppress(OSError):
        trial.bind(str(here))
        here.unlink()
        return here
    elsewhere = Path(tempfile.mkdtemp(prefix="leaderboard-", dir=_short_directory())) / _NAME
    note.write_text(str(elsewhere))
    return elsewhere


def running_store_url(directory: Path) -> str | None:
    """Return the address of the store that was started in a directory; None where none was."""
    note = directory / _ELSEWHERE
    path = Path(note.read_text()) if note.exists() else directory / _NAME
    return url_of_socket(path) if path.exists() else None


def url_of_socket(path: Path) -> str:
    return f"unix://{quote(str(path))}"


def remove_socket(directory: Path, path: Path) -> None:
    """Remove the socket, and the temporary directory that was made for it."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        if path.parent != directory:
            # Only an empty directory goes, so that a wrong note does no harm.
            path.parent.rmdir()
    (directory / _ELSEWHERE).unlink(missing_ok=True)


def _short_directory() -> str:
    # TMPDIR itself may be too long: build systems are good at that.
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= _SHORT_BYTES else "/tmp"  # noqa: S108 - mkdtemp's is private
