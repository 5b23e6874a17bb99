"""The embedded store: whether it runs, and what its files say when it does not."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from leaderboard.doctor.aof import look_through
from leaderboard.doctor.case import Place
from leaderboard.doctor.check import CannotLookError, Fault, Finding, Status, ok, problem, together
from leaderboard.errors import SettingError
from leaderboard.store.engine import Engine, find_engine

#: The end of the server's log that is shown, and that is looked at for the server's last words.
SHOWN_LINES, READ_BYTES = 4, 20_000

_LAST_WORDS = "ready to exit, bye bye"

_START = "Start it: `leaderboard serve` with the same --data-dir."


def look_at_embedded(place: Place, *, answers: bool) -> Finding:
    """The lock says whether the store runs, its log and its files say why it does not."""
    data_dir = place.settings.data_dir
    if not data_dir.is_dir():
        return problem(
            f"{data_dir} is not there",
            "LEADERBOARD_REDIS_URL is not set, and nothing was ever started in this data directory.",
            "Set LEADERBOARD_REDIS_URL, or name the --data-dir of `leaderboard serve`.",
        )
    holder = lock_holder(data_dir / "lock")
    if answers:
        return ok(f"runs in {data_dir}, started by process {holder or 'unknown'}")
    if holder is not None:
        return problem(
            f"process {holder} has {data_dir}, and the store does not answer",
            f"The store is starting, loading its data or stuck. {_end_of_log(place)}",
            "Wait for it, and look again; see its log.",
        )
    return _stopped(place)


def _stopped(place: Place) -> Finding:
    store = place.store_directory
    summary = f"stopped, in {place.settings.data_dir}"
    if not store.is_dir():
        return problem(
            summary,
            "The store is not running and its files are gone.",
            f"{_START} What was archived, it brings back.",
        )
    faults = [Fault(Status.PROBLEM, f"The store is not running. {_end_of_log(place)}", _START)]
    try:
        engine = _engine(place)
        faults += look_through(store / "appendonlydir", engine)
    except SettingError as error:
        said = str(error)
        faults.append(Fault(Status.PROBLEM, f"{said[:1].upper()}{said[1:]}.", "Install or name a server that fits."))
    except CannotLookError as error:
        faults.append(Fault(Status.WARNING, f"Its files were not looked through: {error}.", "See its log."))
    return together(summary, _causes_first(faults))


def _causes_first(faults: list[Fault]) -> list[Fault]:
    """That it does not run comes last; and where its files are at fault, starting it is no help."""
    stopped, *causes = faults
    hard = any(cause.status is Status.PROBLEM for cause in causes)
    return [*causes, Fault(stopped.status, stopped.detail, causes[0].mend if hard else stopped.mend)]


def _engine(place: Place) -> Engine:
    record = place.store_directory / "engine"
    return find_engine(place.settings.store_binary, record.read_text() if record.exists() else "")


def lock_holder(lock: Path) -> str | None:
    """The process that holds the data directory, "unknown" where it did not say; None when nobody does.

    A shared lock is tried, for a moment: it never keeps a start from getting its own, which waits some seconds.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)
    return None


def _end_of_log(place: Place) -> str:
    path = place.store_directory / "store.log"
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - READ_BYTES))
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError as error:
        return f"Its log cannot be read: {error.strerror}."
    if any(_LAST_WORDS in line for line in lines[-2:]):
        return "It was stopped as it should be."
    return "The end of its log:\n" + "\n".join(lines[-SHOWN_LINES:])
