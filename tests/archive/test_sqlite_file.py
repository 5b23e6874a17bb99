"""The archive in a file: who waits for whom, and what happens when it is gone, exchanged, full or damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import delete, insert

from leaderboard.archive import connections
from leaderboard.archive.database import Archive
from leaderboard.errors import Problem, SettingError
from leaderboard.settings import Settings
from tests.archive.noting import all_noted, assert_away, note
from tests.live import WITHIN_S


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "archive.sqlite"


@pytest.fixture
def in_a_file(file: Path) -> Iterator[Archive]:
    """An archive on SQLite, where it is by default."""
    archive = Archive(Settings(data_dir=file.parent))
    archive.migrate()
    yield archive
    archive.close()


def test_on_sqlite_a_transaction_that_writes_has_the_lock_from_its_start(
    in_a_file: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WAIT_S", 0.01)
    with in_a_file.write() as first:
        with pytest.raises(Problem) as raised, in_a_file.write():
            pytest.fail("there are two writers")
        assert_away(raised)
        note(in_a_file, first, "a", "1")
    with in_a_file.write() as connection:
        note(in_a_file, connection, "b", "2")
    assert all_noted(in_a_file) == {"a": "1", "b": "2"}


def test_on_sqlite_a_writer_waits_for_the_one_before_it(in_a_file: Archive) -> None:
    def write_another() -> None:
        with in_a_file.write() as connection:
            note(in_a_file, connection, "a", "2")

    with in_a_file.write() as connection:
        thread = Thread(target=write_another)
        thread.start()
        note(in_a_file, connection, "a", "1")
    thread.join(WITHIN_S)
    assert all_noted(in_a_file) == {"a": "2"}


def test_a_file_that_is_gone_is_an_archive_that_is_away_and_is_not_made_again(in_a_file: Archive, file: Path) -> None:
    in_a_file.close()
    file.unlink()
    for begin in (in_a_file.read, in_a_file.write):
        with pytest.raises(Problem) as raised, begin():
            pytest.fail("there is nothing to connect to")
        assert_away(raised)
    assert not in_a_file.exists()
    assert list(file.parent.iterdir()) == []


def test_a_file_that_was_taken_away_under_a_connection_is_gone(in_a_file: Archive, file: Path) -> None:
    with in_a_file.write() as connection:
        note(in_a_file, connection, "a", "1")
    aside = file.rename(file.with_name("aside"))
    for _ in range(2):
        with pytest.raises(Problem) as raised, in_a_file.write():
            pytest.fail("nobody would find what is written there")
        assert_away(raised)
        with pytest.raises(Problem) as raised:
            in_a_file.tidy()
        assert_away(raised)
    aside.rename(file)
    assert all_noted(in_a_file) == {"a": "1"}


def test_a_file_that_was_exchanged_under_a_connection_is_the_new_one(in_a_file: Archive, file: Path) -> None:
    with in_a_file.write() as connection:
        note(in_a_file, connection, "a", "1")
    copy = file.with_name("copy")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    with in_a_file.write() as connection:
        note(in_a_file, connection, "a", "2")
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink()
    copy.replace(file)
    assert all_noted(in_a_file) == {"a": "1"}


def test_no_file_is_made_beside_the_log_of_another(in_a_file: Archive, file: Path) -> None:
    with in_a_file.write() as connection:
        note(in_a_file, connection, "a", "1")
    with in_a_file.read():
        file.unlink()
        another = Archive(Settings(data_dir=file.parent))
        logs = [file.with_name(file.name + end) for end in ("-wal", "-shm")]
        with pytest.raises(SettingError, match=r"delete archive\.sqlite-wal and archive\.sqlite-shm, too"):
            another.migrate()
        assert [path.exists() for path in (file, *logs)] == [False, True, True]
        for path in logs:
            path.unlink()
        # Although somebody still has the former open.
        another.migrate()
        assert all_noted(another) == {}
        with another.write() as connection:
            note(another, connection, "b", "2")
    assert all_noted(in_a_file) == {"b": "2"}
    another.close()


def test_a_file_that_goes_while_it_is_opened_is_gone(
    in_a_file: Archive, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_file.close()
    use_wal = connections._use_wal

    def take_away(connection: sqlite3.Connection) -> None:
        use_wal(connection)
        file.unlink(missing_ok=True)

    monkeypatch.setattr(connections, "_use_wal", take_away)
    with pytest.raises(Problem) as raised, in_a_file.write():
        pytest.fail("nobody would find what is written there")
    assert_away(raised)


def test_a_file_that_may_be_written_to_again_is_written_to(in_a_file: Archive) -> None:
    with in_a_file.write() as connection:
        note(in_a_file, connection, "a", "1")
        # For as long as it is open: as with a file that may only be read when it is opened.
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(Problem, match="readonly database") as raised, in_a_file.write() as connection:
        note(in_a_file, connection, "a", "2")
    assert_away(raised)
    with in_a_file.write() as connection:
        note(in_a_file, connection, "a", "3")
    assert all_noted(in_a_file) == {"a": "3"}


def test_a_full_disk_is_an_archive_that_is_away(in_a_file: Archive) -> None:
    def fill() -> None:
        with in_a_file.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            note(in_a_file, connection, "a", "x" * 100_000)

    with pytest.raises(Problem) as raised:
        fill()
    assert_away(raised)
    in_a_file.close()
    assert all_noted(in_a_file) == {}


def test_a_damaged_file_is_away_and_left_alone(in_a_file: Archive, file: Path) -> None:
    in_a_file.close()
    file.write_bytes(b"this is not a database" * 1000)
    for call in (in_a_file.exists, in_a_file.migrate):
        with pytest.raises(Problem) as raised:
            call()
        assert_away(raised)
    assert file.read_bytes() == b"this is not a database" * 1000


# -- what SQLite is told -------------------------------------------------------------------------------------------


def test_sqlite_waits_for_the_disk_at_each_commit(in_a_file: Archive) -> None:
    with in_a_file.write() as connection:
        answers = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
    assert answers == {"journal_mode": "wal", "synchronous": 2}


def test_restored_copies_are_opened_by_several_at_once(tmp_path: Path) -> None:
    # VACUUM INTO and dumps give files that no longer say how they are written. Whoever opens one first has it changed,
    # and SQLite tells those who try at the same moment that it is locked, without waiting: one in some 30 when tried.
    copies = [tmp_path / f"{number}.sqlite" for number in range(100)]
    for copy in copies:
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("CREATE TABLE some (thing TEXT)")
    together, failed = Barrier(8), list[Exception]()

    def open_each() -> None:
        for copy in copies:
            engine = connections.sqlite_engine(copy)
            together.wait(WITHIN_S)
            try:
                engine.raw_connection().close()
            except Exception as error:
                failed.append(error)
            engine.dispose()

    threads = [Thread(target=open_each) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert failed == []


def test_what_an_erased_player_left_is_not_in_the_file(in_a_file: Archive, file: Path) -> None:
    players = in_a_file.tables.players
    with in_a_file.write() as connection:
        rows = [
            {"player": f"p{number}", "display_name": f"forgotten-{number}", "submissions": 0} for number in range(200)
        ]
        connection.execute(insert(players), rows)
    in_a_file.close()
    assert b"forgotten-77" in file.read_bytes()
    with in_a_file.write() as connection:
        connection.execute(delete(players).where(players.c.player == "p77"))
    in_a_file.close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert b"forgotten-76" in file.read_bytes()
    assert b"forgotten-77" not in file.read_bytes()


def test_tidying_leaves_nothing_in_the_log_beside_the_file(in_a_file: Archive, tmp_path: Path) -> None:
    with in_a_file.write() as connection:
        note(in_a_file, connection, "a", "a secret of the erased")
    with in_a_file.write() as connection:
        connection.execute(delete(in_a_file.tables.installation))
    in_a_file.tidy()
    files = [path for path in tmp_path.rglob("*.sqlite*") if b"a secret of the erased" in path.read_bytes()]
    assert not files
