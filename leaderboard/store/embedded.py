"""The embedded store: a Valkey (or Redis) server of our own, on a private socket, kept in the data directory.

- `<data_dir>/lock`: held while the store, or the process that started it, lives
- `<data_dir>/store/` (0700): the append-only file, and the socket where it can stand here
- `<data_dir>/store/store.log`: what the server writes
- `<data_dir>/store/engine`: which server the data was last written by
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from leaderboard.child import Child
from leaderboard.errors import SettingError
from leaderboard.settings import Durability, Settings
from leaderboard.store.directory_lock import DirectoryLock
from leaderboard.store.engine import Engine, find_engine
from leaderboard.store.socket_path import place_socket, remove_socket, url_of_socket

#: A start ends when nothing more was loaded for this long; a large append-only file may take minutes in all.
STALL_S = 60.0
#: Stopping writes what is still buffered to the disk; after this long the disk is taken for stuck.
STOP_S = 60.0

_LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class _Place:
    """What stays the same from start to stop, however often the server is launched."""

    lock: DirectoryLock
    engine: Engine
    socket: Path


class EmbeddedStore:
    """A store that belongs to this process."""

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.data_dir.absolute() / "store"
        self._binary = settings.store_binary
        self._every_write = settings.durability is Durability.FSYNC
        self._place: _Place | None = None
        self._log_from = 0
        #: The server process of the moment; None before the start and after the stop.
        self.child: Child | None = None
        self.log = self._directory / "store.log"

    @property
    def url(self) -> str:
        """The address for redis-py, the same from start to stop."""
        return url_of_socket(self._placed().socket)

    @property
    def engine(self) -> str:
        """Name and version of the server, such as `Valkey 9.1.2`."""
        return str(self._placed().engine)

    def start(self, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Start it and wait until all data is loaded.

        Return True when it answers, False when `give_up` said to stop waiting (it is stopped then). Raise
        SettingError when the directory is in use or cannot be used, when there is no fitting server, or when
        the server ends while loading; the message then has the end of its log.
        """
        ready = False
        try:
            self._place = self._prepare(give_up)
            self.launch()
            ready = self._wait_until_ready(give_up)
            if ready:
                (self._directory / "engine").write_text(f"{self.engine}\n")
        finally:
            if not ready:
                self.stop()
        return ready

    def launch(self) -> Child:
        """Start the server process without waiting for it: the first, or the next after one that died."""
        place = self._placed()
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            # The server holds the lock too. Were it ours alone, then after a kill -9 of this process a second
            # server could start on the append-only file while the first still writes to it, and ruin it.
            self.child = Child(
                [place.engine.path, *self._options(place.socket)],
                env=_environment(),
                output=log,
                pass_fds=[place.lock.fd],
            )
        return self.child

    def stop(self) -> None:
        """End the server and let go of the directory; the append-only file has all that was acknowledged."""
        if self.child is not None:
            self.child.send(signal.SIGTERM)
            if not self.child.wait(STOP_S):
                # Acknowledged writes are with the kernel, which the server hands each before it replies, but for those
                # of two seconds while the disk stalls (docs/operations.md, The store).
                self.child.kill()
            self.child = None
        if self._place is not None:
            remove_socket(self._directory, self._place.socket)
            self._place.lock.release()
            self._place = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _placed(self) -> _Place:
        if self._place is None:
            raise RuntimeError("the embedded store is not started")
        return self._place

    def _prepare(self, give_up: Callable[[], bool]) -> _Place:
        data_dir = self._directory.parent
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self._directory.chmod(0o700)
        except OSError as error:
            raise SettingError(f"the data directory {data_dir} cannot be used: {error.strerror}") from error
        lock = DirectoryLock(data_dir, give_up)
        try:
            record = self._directory / "engine"
            engine = find_engine(self._binary, written_by=record.read_text() if record.exists() else "")
            return _Place(lock, engine, place_socket(self._directory))
        except BaseException:
            lock.release()
            raise

    def _options(self, socket: Path) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "daemonize": "no",
            "appendonly": "yes",
            # With everysec a power cut loses at most the last second; a killed server loses nothing acknowledged.
            "appendfsync": "always" if self._every_write else "everysec",
            # A record cut off at the end by a crash was never acknowledged; it must not keep the store down.
            "aof-load-truncated": "yes",
            "save": "",
            # Evicting would empty standings silently.
            "maxmemory-policy": "noeviction",
            # Else an expiring standings of a million entries stops everything for 0.4 s.
            "lazyfree-lazy-expire": "yes",
            "lazyfree-lazy-server-del": "yes",
            "lazyfree-lazy-user-del": "yes",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _wait_until_ready(self, give_up: Callable[[], bool]) -> bool:
        loaded, loaded_at = -1, time.monotonic()
        # A loading server may take a while for each answer, but repeating a question would not hasten it.
        with Redis.from_url(self.url, socket_timeout=2.0, retry=Retry(NoBackoff(), 0)) as client:
            while not give_up():
                if self.child is not None and (status := self.child.poll()) is not None:
                    raise SettingError(self._failure(f"ended with status {status} at its start"))
                so_far = _loaded_bytes(client)
                if so_far is None:
                    return True
                if so_far != loaded:
                    loaded, loaded_at = so_far, time.monotonic()
                elif time.monotonic() - loaded_at > STALL_S:
                    raise SettingError(self._failure(f"made no progress for {STALL_S:.0f} s at its start"))
                time.sleep(0.02)
        return False

    def _failure(self, what: str) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            lines = log.read()[-100_000:].decode(errors="replace").splitlines()
        tail = "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:] if line.strip())
        return f"the store ({self.engine}) {what}; the end of {self.log}:\n{tail}"


def _loaded_bytes(client: Redis) -> int | None:
    """Return None when the server answers, else how many bytes it has loaded (0 before it listens)."""
    try:
        client.ping()
    except RedisError:
        try:
            return int(client.info("persistence").get("loading_loaded_bytes", 0))
        except RedisError:
            return 0
    return None


def _environment() -> dict[str, str]:
    # Lua compares strings by the locale's collation; only under C is that the order of bytes. Our own
    # variables hold secrets that the server has no use for.
    ours = ("LEADERBOARD_", "LC_", "LANG")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"LC_ALL": "C"}
