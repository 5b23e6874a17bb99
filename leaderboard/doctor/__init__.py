"""`leaderboard doctor`: what is right and wrong with an installation, and how to mend it.

It changes nothing and claims nothing. What cannot be looked at (an ACL or a provider forbids it) is a warning; what
rests on something that does not answer is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError
from sqlalchemy.exc import SQLAlchemyError

from leaderboard import __version__
from leaderboard.addresses import archive_address, store_address, without_secrets
from leaderboard.archive.database import Archive
from leaderboard.doctor import access, archive, embedded, engine, functions, journal, machine, memory, persistence
from leaderboard.doctor.case import Case, Place
from leaderboard.doctor.check import BY_WEIGHT, Check, Finding, Status, ok, problem, warning
from leaderboard.doctor.sight import Sight
from leaderboard.errors import LeaderboardError, SettingError
from leaderboard.installation import open_installation
from leaderboard.settings import Settings
from leaderboard.store.socket_path import running_store_url

_Seen = TypeVar("_Seen", bound=Place)
Looks = tuple[tuple[str, Callable[[_Seen], Finding]], ...]

#: Names are permanent: people filter by them.
OF_STORE: Looks[Case] = (
    ("store.engine", engine.look_at_engine),
    ("store.role", engine.look_at_role),
    ("store.access", access.look_at_access),
    ("store.persistence", persistence.look_at_persistence),
    ("store.fsync", persistence.look_at_fsync),
    ("store.durability", persistence.look_at_durability),
    ("store.eviction", memory.look_at_eviction),
    ("store.memory", memory.look_at_memory),
    ("store.expiry", memory.look_at_expiry),
    ("store.functions", functions.look_at_functions),
    ("store.locale", functions.look_at_locale),
    ("store.clock", machine.look_at_clock),
    ("installation.claim", journal.look_at_claim),
    ("installation.journal", journal.look_at_journal),
    ("installation.worker", journal.look_at_worker),
)
OF_ARCHIVE: Looks[Place] = (("archive.answers", archive.look_at_archive),)
#: Where the archive answers; the first needs the store as well.
OF_BOTH: Looks[Case] = (("archive.relation", archive.look_at_relation),)
OF_KEPT: Looks[Place] = (("archive.housekeeping", archive.look_at_housekeeping),)
OF_MACHINE: Looks[Place] = (("machine.disk", machine.look_at_disk), ("machine.files", machine.look_at_files))

SETTINGS, EMBEDDED, ANSWERS = "settings", "store.embedded", "store.answers"


@dataclass(frozen=True, slots=True)
class Examination:
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        return max((check.status for check in self.checks), key=BY_WEIGHT.index)

    def document(self) -> dict[str, object]:
        """For machines; members are only ever added."""
        return {
            "status": self.status.value,
            "version": __version__,
            "checks": [
                {
                    "id": check.id,
                    "status": check.status.value,
                    "summary": check.finding.summary,
                    "detail": check.finding.detail,
                    "mend": check.finding.mend,
                }
                for check in self.checks
            ],
        }


def examine(settings: Settings) -> Examination:
    """Look at everything once. Raises SettingError where the settings say nothing that could be looked at.

    It takes a second or so, and longer where something does not answer: each waits for its own time-out.
    """
    settings = replace(settings, data_dir=settings.data_dir.absolute())
    checks = tuple(replace(check, finding=_without_secrets(check.finding, settings)) for check in _examine(settings))
    return Examination(checks)


def _examine(settings: Settings) -> Iterator[Check]:
    place = Place(settings, Archive(settings))
    url = _store_url(place)
    yield Check(SETTINGS, _settings(settings, url))
    sight = Sight(settings, url) if url is not None else None
    lb = open_installation(replace(settings, redis_url=url)) if url is not None else None
    try:
        answers = _knock(sight, url) if sight is not None and url is not None else None
        works = answers is not None and answers.status is Status.OK
        if place.embedded:
            yield Check(EMBEDDED, _guarded(lambda it: embedded.look_at_embedded(it, answers=works), place))
        if answers is not None and (works or not place.embedded):
            yield Check(ANSWERS, answers)
        case = Case(settings, place.archive, sight, lb) if works and sight is not None and lb is not None else None
        if case is not None:
            yield from _look(OF_STORE, case)
        kept = list(_look(OF_ARCHIVE, place))
        yield from kept
        if kept[0].status is not Status.PROBLEM:
            if case is not None:
                yield from _look(OF_BOTH, case)
            yield from _look(OF_KEPT, place)
        yield from _look(OF_MACHINE, place)
    finally:
        for used in (sight, lb, place.archive):
            if used is not None:
                used.close()


def _store_url(place: Place) -> str | None:
    if place.settings.redis_url is not None:
        # Read it once here, so that one that makes no sense is told without a part of its password.
        store_address(place.settings.redis_url)
        return place.settings.redis_url
    try:
        return running_store_url(place.store_directory)
    except OSError as error:
        raise SettingError(
            f"the data directory {place.settings.data_dir} cannot be looked into: {error.strerror}"
        ) from error


def _settings(settings: Settings, url: str | None) -> Finding:
    store = "an embedded store" if settings.redis_url is None else store_address(settings.redis_url)
    shown = store if url is not None or settings.redis_url is not None else f"{store} that is not running"
    return ok(f"namespace {settings.namespace}; {shown}; {archive_address(settings)}")


def _knock(sight: Sight, url: str) -> Finding:
    """Whether the store answers at all."""
    summary = store_address(url)
    try:
        sight.client.ping()
    except AuthenticationError:
        return problem(
            summary,
            "The store does not let us in: user or password are wrong, or missing.",
            "Put the right ones into LEADERBOARD_REDIS_URL, with %40 for an @ in the password, and so on.",
        )
    except BusyLoadingError:
        return warning(
            summary,
            "The store is loading its data; until it is done nothing is answered.",
            "Wait, and look again.",
        )
    except ResponseError:
        # It may not run PING, but it answers.
        pass
    except (RedisError, OSError) as error:
        return problem(
            summary,
            f"The store does not answer: {error}",
            "Start it, or mend LEADERBOARD_REDIS_URL or what stands between.",
        )
    return ok(summary)


def _look(looks: Iterable[tuple[str, Callable[[_Seen], Finding]]], seen: _Seen) -> Iterator[Check]:
    for name, look in looks:
        yield Check(name, _guarded(look, seen))


def _guarded(look: Callable[[_Seen], Finding], seen: _Seen) -> Finding:
    """One look that cannot be had does not keep us from the others."""
    try:
        return look(seen)
    except (LeaderboardError, RedisError, SQLAlchemyError, OSError) as error:
        return warning(
            "could not be looked at",
            f"This could not be looked at: {error}",
            "Allow it, or look it up where the store, the archive or the file is kept.",
        )


def _without_secrets(finding: Finding, settings: Settings) -> Finding:
    def sieve(text: str | None) -> str | None:
        return None if text is None else without_secrets(text, settings)

    return replace(
        finding,
        summary=without_secrets(finding.summary, settings),
        detail=sieve(finding.detail),
        mend=sieve(finding.mend),
    )


__all__ = ["Check", "Examination", "Finding", "Status", "examine"]
