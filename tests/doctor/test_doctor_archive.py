"""What the doctor says of the journal, the worker and the archive."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from leaderboard.archive import connections
from tests.conftest import SetClock
from tests.databases import PostgreSQL
from tests.doctor.conftest import Ground
from tests.live import free_port

WORKER = "lb:{0}:worker"


def in_archive(ground: Ground, *statements: str) -> None:
    engine = create_engine(f"sqlite:///{ground.folder}/archive.sqlite")
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


# -- journal and worker ----------------------------------------------------------------------------------------------


def test_a_journal_that_grows_is_said_before_and_when_it_is_full(well: Ground) -> None:
    for score in range(5):
        well.api.submit("carol", score)
    told = well.doctor(LEADERBOARD_JOURNAL_RECORDS_ALARM="6")
    assert told.complaints == {}
    assert "5 of at most 1000000 records" in told.says("installation.journal")
    assert well.doctor(LEADERBOARD_JOURNAL_RECORDS_ALARM="5").complaints == {"installation.journal": "warning"}
    told = well.doctor(LEADERBOARD_JOURNAL_RECORDS_MOST="5")
    assert told.complaints == {"installation.journal": "problem"}
    well.work()
    assert well.doctor(LEADERBOARD_JOURNAL_RECORDS_ALARM="5").complaints == {}


def test_a_record_that_has_waited_long_is_a_warning(well: Ground) -> None:
    ago = SetClock(int((time.time() - 3600) * 1000))
    well.client(ago).submit("carol", 1)
    told = well.doctor()
    assert told.complaints == {"installation.journal": "warning"}
    assert "the oldest for 36" in told.says("installation.journal")


def test_without_a_worker_there_is_a_problem(well: Ground) -> None:
    well.raw.delete(WORKER)
    told = well.doctor()
    assert told.complaints == {"installation.worker": "problem"}
    assert told.exit_code == 1
    assert "leaderboard worker" in told.says("installation.worker")


def test_a_worker_that_is_stuck_is_quoted(well: Ground) -> None:
    in_archive(well, "UPDATE lb_readers SET generation = 'another', token = 'another'")
    well.work()
    told = well.doctor()
    assert told.complaints == {"installation.worker": "problem", "archive.relation": "problem"}
    assert "the archive is of another store" in told.says("installation.worker")


# -- store and archive -----------------------------------------------------------------------------------------------


def test_an_archive_of_another_store_is_a_problem(well: Ground) -> None:
    in_archive(well, "UPDATE lb_readers SET generation = 'another', token = 'another'")
    told = well.doctor()
    assert told.complaints == {"archive.relation": "problem"}
    assert "of another store" in told.says("archive.relation")


def test_an_archive_that_is_ahead_of_its_store_is_a_problem(well: Ground) -> None:
    earlier = {key: well.raw.dump(key) for key in well.raw.scan_iter()}
    well.api.submit("carol", 1)
    well.work()
    assert well.doctor().complaints == {}
    # As from an older backup.
    well.raw.flushall()
    for key, value in earlier.items():
        well.raw.restore(key, 0, value)
    told = well.doctor()
    assert told.complaints == {"archive.relation": "problem"}
    assert "the archive is ahead of the store" in told.says("archive.relation")


def test_an_archive_that_is_new_for_a_store_that_is_not_is_a_problem(well: Ground, tmp_path: Path) -> None:
    told = well.doctor(LEADERBOARD_DATABASE_URL=f"sqlite:///{tmp_path}/another.sqlite")
    assert told.complaints == {"archive.relation": "problem"}
    assert "`leaderboard rebuild --archive`" in told.says("archive.relation")
    assert not list(tmp_path.iterdir()), "the doctor makes nothing"


def test_what_happens_while_the_doctor_looks_is_not_taken_for_a_fault(well: Ground) -> None:
    # The archive has a step, and the journal still holds it: a worker is between its commit and the trimming.
    mark = well.raw.hgetall("lb:{0}:store")
    well.api.submit("carol", 1)
    waiting = well.raw.dump("lb:{0}:journal")
    well.work()
    well.raw.hset("lb:{0}:store", mapping=mark)
    well.raw.restore("lb:{0}:journal", 0, waiting, replace=True)
    assert well.doctor().complaints == {}


# -- the archive by itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pages", "told_by"), [(slice(0, 1), "does not answer"), (slice(-3, None), "is damaged")])
def test_a_file_that_is_damaged_is_a_problem(well: Ground, pages: slice, told_by: str) -> None:
    path = well.folder / "archive.sqlite"
    in_archive(well, "PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    found = [whole[at : at + 4096] for at in range(0, len(whole), 4096)]
    found[pages] = [b"\xff" * 4096 for _ in found[pages]]
    path.write_bytes(b"".join(found))
    told = well.doctor()
    assert (told.exit_code, told.complaints["archive.answers"]) == (1, "problem")
    assert told_by in told.says("archive.answers")
    assert "put a backup in its place" in told.says("archive.answers")


def test_an_archive_that_another_writes_to_for_long_is_a_warning(well: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WAIT_S", 0.01)
    with closing(sqlite3.connect(well.folder / "archive.sqlite", isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        told = well.doctor()
    assert told.complaints == {"archive.answers": "warning"}


def test_an_archive_that_takes_no_changes_is_a_problem(well: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    # As with a file that may only be read.
    monkeypatch.setattr(connections, "_PRAGMAS", ("query_only=ON",))
    told = well.doctor()
    assert told.complaints == {"archive.answers": "problem"}
    assert "takes no changes: attempt to write a readonly database" in told.says("archive.answers")


def test_an_archive_of_a_newer_version_is_a_problem(well: Ground) -> None:
    in_archive(well, "UPDATE lb_schema SET version_num = '9999'")
    told = well.doctor()
    assert told.complaints == {"archive.answers": "problem"}
    assert "newer version" in told.says("archive.answers")


def test_an_archive_of_an_older_version_is_brought_up_to_date_by_the_worker(well: Ground) -> None:
    in_archive(well, "UPDATE lb_schema SET version_num = '0000'")
    told = well.doctor()
    assert told.complaints == {"archive.answers": "warning"}


def test_an_archive_that_does_not_answer_is_a_problem_and_the_store_is_looked_at_all_the_same(well: Ground) -> None:
    url = f"postgresql://somebody:secret-word@127.0.0.1:{free_port()}/board"
    told = well.doctor(LEADERBOARD_DATABASE_URL=url)
    assert told.complaints == {"archive.answers": "problem"}
    assert "Connection refused" in told.says("archive.answers")
    assert "archive.relation" not in told.statuses


def test_a_file_that_is_no_archive_is_a_problem(well: Ground, tmp_path: Path) -> None:
    (tmp_path / "archive.sqlite").write_bytes(b"no database at all, " * 200)
    told = well.doctor(LEADERBOARD_DATABASE_URL=f"sqlite:///{tmp_path}/archive.sqlite")
    assert told.statuses["archive.answers"] == "problem"
    assert "not a database" in told.says("archive.answers")


def test_postgresql_that_was_stopped_is_a_problem(
    ground: Ground, postgresql_url: str, postgresql: Callable[[], PostgreSQL]
) -> None:
    ground.store.start()
    ground.client(database_url=postgresql_url).define()
    ground.work(database_url=postgresql_url)
    told = ground.doctor(LEADERBOARD_DATABASE_URL=postgresql_url)
    assert told.complaints == {}
    assert "PostgreSQL on" in told.says("archive.answers")
    postgresql().stop()
    try:
        told = ground.doctor(LEADERBOARD_DATABASE_URL=postgresql_url)
    finally:
        postgresql().start()
    assert told.complaints == {"archive.answers": "problem"}


def test_submissions_that_should_have_gone_are_a_warning(well: Ground) -> None:
    assert well.doctor(LEADERBOARD_SUBMISSIONS_DAYS="1").complaints == {}
    in_archive(well, f"UPDATE lb_submissions SET at_ms = {int((time.time() - 10 * 86_400) * 1000)}")
    assert well.doctor(LEADERBOARD_SUBMISSIONS_DAYS="9").complaints == {}
    told = well.doctor(LEADERBOARD_SUBMISSIONS_DAYS="5")
    assert told.complaints == {"archive.housekeeping": "warning"}
