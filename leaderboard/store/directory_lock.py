"""One running store per data directory."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from leaderboard.errors import SettingError

#: A store that is just stopping still holds the lock for as long as its last writes take.
WAIT_S = 5.0


class DirectoryLock:
    """An exclusive lock on a directory, held until the last process that has `fd` open closes it or dies."""

    def __init__(self, directory: Path, give_up: Callable[[], bool]) -> None:
        """Take the lock, waiting up to `WAIT_S`; raise SettingError when another process keeps it."""
        try:
            self.fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingError(f"the data directory {directory} cannot be used: {error.strerror}") from error
        try:
            self._take(directory, give_up)
        except BaseException:
            os.close(self.fd)
            raise
        # Only for the message that the next one to come reads.
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of our share; the lock is free once no child holds it either."""
        if self.fd >= 0:
            # Closing twice would close whatever got the number since.
            os.close(self.fd)
            self.fd = -1

    def _take(self, directory: Path, give_up: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise SettingError(f"the data directory {directory} cannot be locked: {error.strerror}") from error
            if time.monotonic() > deadline or give_up():
                holder = os.pread(self.fd, 32, 0).decode(errors="replace").strip()
                raise SettingError(
                    f"the data directory {directory} is in use by another leaderboard"
                    f"{f' (process {holder}, or the store it started)' if holder else ''}; "
                    "stop that one, or set another LEADERBOARD_DATA_DIR"
                )
            time.sleep(0.05)
