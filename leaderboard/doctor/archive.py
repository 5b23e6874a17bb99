"""The archive: whether it answers, whether it is of this version, and whether it belongs to the store."""

from __future__ import annotations

import time

from sqlalchemy import select

from leaderboard import journal
from leaderboard.addresses import archive_address
from leaderboard.archive.readers import read_position
from leaderboard.doctor.case import Case, Place
from leaderboard.doctor.check import Finding, ok, problem, warning
from leaderboard.errors import Problem
from leaderboard.model import DAY_MS
from leaderboard.relation import Relation, explain, relation_of

#: A worker steps on between two looks, so one look may see the store before and the archive after it.
LOOKS, BETWEEN_LOOKS_S = 5, 0.1

IF_DAMAGED = "For a file that is damaged, put a backup in its place as docs/operations.md says, without -wal and -shm."

#: Housekeeping deletes once a minute, a share at a time.
LATE_DAYS = 2


def look_at_archive(place: Place) -> Finding:
    """Whether it answers, and whether its tables are of this version. Makes nothing."""
    summary = archive_address(place.settings)
    try:
        revision, head = place.archive.revision(), place.archive.head()
    except Problem as error:
        return problem(
            summary,
            f"The archive does not answer: {_cause(error)}",
            f"Start the database, or mend LEADERBOARD_DATABASE_URL; until then the journal grows. {IF_DAMAGED}",
        )
    if revision is None:
        return ok(f"{summary}: not there; for a new store the worker makes it")
    if damage := place.archive.find_damage():
        return problem(
            summary,
            f"The archive's file is damaged: {damage}",
            IF_DAMAGED,
        )
    if revision == head:
        return _try_to_write(place, f"{summary}, tables of revision {revision}")
    # Revisions are numbered.
    if revision > head:
        return problem(
            f"{summary}, tables of revision {revision}",
            f"The archive was written by a newer version of leaderboard; this one knows revision {head}.",
            "Run that version again, or set another LEADERBOARD_DATABASE_URL.",
        )
    return warning(
        f"{summary}, tables of revision {revision}",
        f"The tables are of an older version than this one, which uses revision {head}.",
        "Start `leaderboard worker` of this version: it brings them up to date. Older ones then archive no more.",
    )


def _try_to_write(place: Place, summary: str) -> Finding:
    """A transaction that changes nothing; on PostgreSQL that says little."""
    try:
        with place.archive.write():
            pass
    except Problem as error:
        if "locked" in _cause(error):
            # A filling may hold it for longer than is waited for.
            return warning(summary, "Another process has been writing to the archive for some seconds.", "Look again.")
        return problem(
            summary,
            f"The archive can be read, but takes no changes: {_cause(error)}",
            "See who may write to the file and its directory, how they are mounted, and who else has it open; until "
            "then the journal grows. The worker tries again by itself.",
        )
    return ok(summary)


def _cause(error: Problem) -> str:
    """What the driver said, in one line; neither it nor SQLAlchemy repeats a password."""
    cause = error.__cause__
    said = str(getattr(cause, "orig", None) or cause or error).strip()
    return " ".join(said.split())


def look_at_relation(case: Case) -> Finding:
    """Whether the archive follows from this store."""
    finding = _relate(case)
    for _ in range(LOOKS - 1):
        if finding.detail is None:
            break
        time.sleep(BETWEEN_LOOKS_S)
        finding = _relate(case)
    return finding


def _relate(case: Case) -> Finding:
    position = read_position(case.lb.archive)
    mark = journal.read_mark(case.lb.store, case.lb.keys)
    if mark is None:
        return ok("the store is not marked, so there is nothing to compare")
    if position is None:
        if not mark.had_archive:
            return ok("nothing was archived yet")
        return problem(
            f"the store was archived up to record {mark.archived}, the archive holds nothing",
            "The archive is new, or was taken away, and the store is not new.",
            "Put it back if it was taken away; else `leaderboard rebuild --archive` fills the archive.",
        )
    relation = relation_of(case.lb, mark, position)
    if relation in (Relation.SAME, Relation.UNTRIMMED):
        return ok(f"the archive has the journal up to record {position.number}")
    return problem(
        f"the archive is at record {position.number}, the store says {mark.archived}",
        f"{explain(relation, mark, position)}.",
        "Find out which of the two is the right one before anything is deleted, and then do as said.",
    )


def look_at_housekeeping(place: Place) -> Finding:
    """Whether single submissions go when they have had their time."""
    if place.archive.revision() != place.archive.head():
        return ok("the archive has no tables of this version")
    submissions, days = place.archive.tables.submissions, place.settings.submissions_days
    with place.archive.read() as connection:
        oldest_ms = connection.scalar(select(submissions.c.at_ms).order_by(submissions.c.id).limit(1))
    if oldest_ms is None:
        return ok(f"no submissions; they are kept for {days} days")
    age_days = (time.time() * 1000 - oldest_ms) / DAY_MS
    summary = f"the oldest submission is {max(0.0, age_days):.0f} days old; they are kept for {days}"
    if age_days < days + LATE_DAYS:
        return ok(summary)
    return warning(
        summary,
        "Submissions are kept longer than LEADERBOARD_SUBMISSIONS_DAYS says.",
        "A worker that archives deletes them by itself, 5,000 a minute or more; see that one runs.",
    )
