"""The store as this installation's own: its mark, its journal, and who archives that."""

from __future__ import annotations

from leaderboard import journal
from leaderboard.archive.readers import known_generation
from leaderboard.claim import PARTITIONS, SCHEMA
from leaderboard.doctor.case import Case
from leaderboard.doctor.check import CannotLookError, Finding, Status, ok, problem, warning
from leaderboard.errors import Problem
from leaderboard.worker.report import read_worker

#: A worker archives within a second; a record that is older waits for something.
OLD_S = 60.0

_FROM_ARCHIVE = "`leaderboard rebuild --replace` makes the store anew from the archive."


def look_at_claim(case: Case) -> Finding:
    """The store's mark. Unlike the service, this claims nothing."""
    store, keys = case.lb.store, case.lb.keys
    mark, has_journal, is_rebuilt, has_boards = store.read(
        ("HMGET", keys.store, "schema", "partitions", "generation"),
        ("EXISTS", keys.journal),
        ("EXISTS", keys.rebuild),
        ("EXISTS", keys.boards),
    )
    if is_rebuilt:
        return problem(
            "being rebuilt",
            "The store is being rebuilt from the archive; until that is done, nothing is answered.",
            "Wait for it; if no `leaderboard rebuild` is running, start it again, and it goes on where it stopped.",
        )
    schema, partitions, generation = (value.decode() if value is not None else None for value in mark)
    if schema is None:
        return _unmarked(case, holds=bool(has_boards or has_journal))
    if (schema, partitions) != (SCHEMA, PARTITIONS):
        return problem(
            f"schema {schema} in {partitions} partitions",
            f"The store holds data of another version; this one uses schema {SCHEMA} in {PARTITIONS}.",
            "Run the version that wrote it, or set LEADERBOARD_NAMESPACE or another store for this one.",
        )
    if not has_journal:
        return problem("no journal", "The store's journal was deleted, so changes are refused.", _FROM_ARCHIVE)
    return ok(f"schema {schema}, generation {generation}")


def _unmarked(case: Case, *, holds: bool) -> Finding:
    if holds:
        return problem(
            "no mark",
            "The store holds boards or a journal, but not the mark of an installation: a part of it was deleted.",
            _FROM_ARCHIVE,
        )
    try:
        lost = known_generation(case.lb.archive) is not None
    except Problem as error:
        raise CannotLookError("the store is empty, and the archive, which knows if it should be, is away") from error
    if lost:
        return problem(
            "empty",
            "The store is empty, and the archive is not: the store has lost its data, or is another one.",
            "`leaderboard rebuild` fills it from the archive; or mend LEADERBOARD_REDIS_URL.",
        )
    return ok("empty, and new: the service marks it when it first uses it")


def look_at_journal(case: Case) -> Finding:
    """How much waits for the archive, and for how long."""
    waiting, settings = journal.read_waiting(case.lb.store, case.lb.keys), case.settings
    most, alarm = settings.journal_records_most, settings.journal_records_alarm
    age_s = 0.0 if waiting.oldest_ms is None else max(0.0, (case.lb.clock.now_ms() - waiting.oldest_ms) / 1000)
    summary = f"{waiting.records} of at most {most} records wait for the archive" + (
        f", the oldest for {age_s:.0f} s" if waiting.records else ""
    )
    mend = "See what `worker` and `archive` say here, and the worker's log."
    if waiting.records >= most:
        return problem(summary, "The journal is full: submissions and other changes are refused.", mend)
    if waiting.records >= alarm:
        return warning(summary, f"The archive does not keep up; at {most} records changes are refused.", mend)
    if age_s >= OLD_S:
        return warning(summary, "The journal is not being archived.", mend)
    return ok(summary)


def look_at_worker(case: Case) -> Finding:
    state = read_worker(case.lb.store, case.lb.keys)
    if state is None:
        is_new = journal.read_mark(case.lb.store, case.lb.keys) is None
        return Finding(
            Status.WARNING if is_new else Status.PROBLEM,
            "no worker has said anything for 20 s",
            "No worker archives the journal; once that is full, changes are refused.",
            "Start `leaderboard worker` with the same settings as the service; `leaderboard serve` runs one by itself.",
        )
    age_s = max(0.0, (case.lb.clock.now_ms() - state.at_ms) / 1000)
    summary = f"{state.owner} spoke {age_s:.0f} s ago"
    if state.problem is None:
        return ok(summary)
    return problem(
        summary,
        f"The worker cannot archive: {state.problem}",
        "Mend that; the worker tries again every second.",
    )
