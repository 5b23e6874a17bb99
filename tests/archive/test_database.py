"""The archive's database, on SQLite and PostgreSQL: transactions, order, and what happens while it is away."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import Connection, bindparam, delete, insert, select, text
from sqlalchemy.exc import IntegrityError, InternalError, OperationalError, ProgrammingError

from leaderboard.archive import connections
from leaderboard.archive.database import Archive
from leaderboard.errors import Problem, SettingError
from leaderboard.settings import Settings
from tests.databases import PostgreSQL
from tests.live import WITHIN_S


@pytest.fixture
def archive(database_url: str) -> Iterator[Archive]:
    archive = Archive(Settings(database_url=database_url))
    archive.migrate()
    yield archive
    archive.close()


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


@pytest.fixture
def on_postgresql(postgresql_url: str) -> Iterator[Archive]:
    archive = Archive(Settings(database_url=postgresql_url))
    archive.migrate()
    yield archive
    archive.close()


def note(archive: Archive, connection: Connection, name: str, value: str) -> None:
    table = archive.tables.installation
    connection.execute(archive.upsert(table, ["name", "value"]), {"name": name, "value": value})


def noted(archive: Archive, connection: Connection) -> dict[str, str]:
    table = archive.tables.installation
    return {row.name: row.value for row in connection.execute(select(table))}


def all_noted(archive: Archive) -> dict[str, str]:
    with archive.read() as connection:
        return noted(archive, connection)


def assert_away(raised: pytest.ExceptionInfo[Problem]) -> None:
    assert raised.value.code == "archive_unavailable"
    assert raised.value.status == 503
    assert int(raised.value.headers["Retry-After"]) > 0
    assert raised.value.__cause__ is not None


# -- transactions --------------------------------------------------------------------------------------------------


def test_what_was_written_is_read(archive: Archive) -> None:
    with archive.write() as connection:
        note(archive, connection, "a", "1")
    assert all_noted(archive) == {"a": "1"}


def test_an_exception_takes_back_all_that_its_transaction_wrote(archive: Archive) -> None:
    def fail() -> None:
        with archive.write() as connection:
            note(archive, connection, "a", "1")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert all_noted(archive) == {}
    with archive.write() as connection:
        note(archive, connection, "b", "2")
    assert all_noted(archive) == {"b": "2"}


def test_a_read_does_not_see_what_is_committed_after_it_began_to_look(archive: Archive) -> None:
    with archive.write() as connection:
        note(archive, connection, "a", "1")
    with archive.read() as reader:
        before = noted(archive, reader)
        with archive.write() as connection:
            note(archive, connection, "a", "2")
            note(archive, connection, "b", "1")
        assert noted(archive, reader) == before == {"a": "1"}
    assert all_noted(archive) == {"a": "2", "b": "1"}


def test_a_read_waits_for_no_writer_and_sees_nothing_uncommitted(archive: Archive) -> None:
    with archive.write() as connection:
        note(archive, connection, "a", "1")
        assert all_noted(archive) == {}


def test_a_read_keeps_no_change(archive: Archive) -> None:
    # SQLite lets it pass and takes it back at the end.
    with suppress(Problem), archive.read() as connection:
        note(archive, connection, "a", "1")
        assert archive.dialect == "sqlite"
    assert all_noted(archive) == {}


def test_an_upsert_changes_the_columns_it_is_given_and_no_others(archive: Archive) -> None:
    players = archive.tables.players
    with archive.write() as connection:
        connection.execute(
            archive.upsert(players, ["player", "display_name", "country", "submissions"]),
            [
                {"player": "ann", "display_name": "Ann", "country": "de", "submissions": 1},
                {"player": "bob", "display_name": "Bob", "country": "fr", "submissions": 1},
                {"player": "ann", "display_name": "Ann", "country": "at", "submissions": 2},
            ],
        )
        connection.execute(archive.upsert(players, {"player", "submissions"}), {"player": "ann", "submissions": 3})
    with archive.read() as connection:
        rows = connection.execute(
            select(*players.c["player", "display_name", "country", "submissions"]).order_by(players.c.player)
        )
        assert rows.all() == [("ann", "Ann", "at", 3), ("bob", "Bob", "fr", 1)]


def test_an_upsert_of_a_key_alone_leaves_what_is_there(archive: Archive) -> None:
    standings = archive.tables.standings
    with archive.write() as connection:
        key = {"board": "main", "period_id": "s1"}
        connection.execute(archive.upsert(standings, [*key, "expires_ms"]), {**key, "expires_ms": 7})
        connection.execute(archive.upsert(standings, key), key)
        assert connection.execute(select(standings)).all() == [("main", "s1", 7)]


def test_submissions_are_numbered_as_they_come_and_no_number_comes_twice(archive: Archive) -> None:
    submissions = archive.tables.submissions
    one = {
        "at_ms": 2**45, "board": "main", "player": "ann", "kind": "submission", "score": -(10**15) + 1, "decimals": 2,
        "tiebreaks": "{}", "achieved_ms": -1, "metadata": b"", "changed": 1, "replay": bytes(28),
    }  # fmt: skip
    with archive.write() as connection:
        connection.execute(insert(submissions), [one, one, one])
        connection.execute(delete(submissions).where(submissions.c.id > 1))
        connection.execute(insert(submissions), one)
        rows = connection.execute(select(submissions).order_by(submissions.c.id)).mappings().all()
    assert [dict(row) for row in rows] == [{"id": 1, **one}, {"id": 4, **one}]


def test_mistakes_of_ours_come_out_as_they_are(archive: Archive) -> None:
    table = archive.tables.installation
    with pytest.raises(IntegrityError), archive.write() as connection:
        connection.execute(insert(table), [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}])
    # SQLite calls a missing table an operational error, as it does a full disk.
    with pytest.raises((ProgrammingError, OperationalError), match="nowhere"), archive.read() as connection:
        connection.execute(text("SELECT 1 FROM nowhere"))
    with pytest.raises((ProgrammingError, OperationalError), match="syntax"), archive.write() as connection:
        connection.execute(text("SELECT FROM WHERE"))


def test_errors_do_not_repeat_what_players_wrote(archive: Archive) -> None:
    row = {"name": "a", "value": "my secret"}
    with pytest.raises(IntegrityError) as raised, archive.write() as connection:
        connection.execute(insert(archive.tables.installation), [row, row])
    assert "my secret" not in str(raised.value)


# -- order ---------------------------------------------------------------------------------------------------------


def test_ids_sort_and_compare_by_bytes(archive: Archive) -> None:
    #  bytes:   B   Z   _   a   b   ä   é   |  a language:  _ a ä b B é Z
    ids = ["a", "B", "é", "b", "_", "Z", "ä", "a_b", "a-b", "aB", "ab", "P_1", "p_1"]
    table = archive.tables.installation
    with archive.write() as connection:
        connection.execute(insert(table), [{"name": name, "value": ""} for name in ids])
        by_bytes = sorted(ids, key=str.encode)
        assert connection.scalars(select(table.c.name).order_by(table.c.name)).all() == by_bytes
        after = select(table.c.name).where(table.c.name > bindparam("last")).order_by(table.c.name)
        assert connection.scalars(after, {"last": "Z"}).all() == by_bytes[by_bytes.index("Z") + 1 :]


def test_the_database_of_these_tests_would_sort_text_by_a_language(on_postgresql: Archive) -> None:
    with on_postgresql.read() as connection:
        assert connection.scalar(text("SELECT 'a' < 'B'"))


def test_entries_sort_by_the_bytes_of_their_order_key(archive: Archive) -> None:
    keys = [b"\xff", b"\x00\xff", b"\x00", b"", b"\x7f\x00", b"\x80", b"a", b"B", b"\x00\x00\x01"]
    entries = archive.tables.entries
    with archive.write() as connection:
        connection.execute(
            insert(entries),
            [
                {"board": "main", "period_id": "all", "player": f"p{number}", "order_key": key, "submissions": 1,
                 "newest_ms": None, "metadata": b""}
                for number, key in enumerate(keys)
            ],
        )  # fmt: skip
        assert connection.scalars(select(entries.c.order_key).order_by(entries.c.order_key)).all() == sorted(keys)


# -- away ----------------------------------------------------------------------------------------------------------


def test_while_postgresql_is_away_everything_says_so_and_then_goes_on_by_itself(
    postgresql: Callable[[], PostgreSQL], on_postgresql: Archive
) -> None:
    with on_postgresql.write() as connection:
        note(on_postgresql, connection, "a", "1")
    postgresql().stop()
    for call in (lambda: all_noted(on_postgresql), on_postgresql.exists, on_postgresql.revision, on_postgresql.migrate):
        with pytest.raises(Problem) as raised:
            call()
        assert_away(raised)
    with pytest.raises(Problem) as raised, on_postgresql.write():
        pytest.fail("there is nothing to write to")
    assert_away(raised)
    postgresql().start()
    assert all_noted(on_postgresql) == {"a": "1"}
    with on_postgresql.write() as connection:
        note(on_postgresql, connection, "b", "2")
    assert all_noted(on_postgresql) == {"a": "1", "b": "2"}


def test_a_postgresql_that_was_started_anew_between_two_calls_is_not_noticed(
    postgresql: Callable[[], PostgreSQL], on_postgresql: Archive
) -> None:
    with on_postgresql.read(), on_postgresql.read():
        pass
    postgresql().stop()
    postgresql().start()
    assert all_noted(on_postgresql) == {}


def test_a_transaction_whose_connection_breaks_leaves_nothing(
    postgresql: Callable[[], PostgreSQL], on_postgresql: Archive
) -> None:

    def break_off() -> None:
        with on_postgresql.write() as connection:
            note(on_postgresql, connection, "a", "1")
            postgresql().stop()

    with pytest.raises(Problem) as raised:
        break_off()
    assert_away(raised)
    postgresql().start()
    assert all_noted(on_postgresql) == {}


def test_an_address_where_nothing_answers_is_an_archive_that_is_away_and_its_password_is_told_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    archive = Archive(Settings(database_url="postgresql://ann:hunter2@127.0.0.1:1/game"))
    with caplog.at_level(logging.DEBUG), pytest.raises(Problem) as raised:
        archive.exists()
    assert_away(raised)
    assert "127.0.0.1" in caplog.text
    told = caplog.text
    error: BaseException | None = raised.value
    while error is not None:
        told += f"{error} {error!r}"
        error = error.__cause__ or error.__context__
    assert "hunter2" not in told


def test_a_postgresql_that_has_become_read_only_is_away_for_writers(on_postgresql: Archive) -> None:
    with on_postgresql.write() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    on_postgresql.close()
    with pytest.raises(Problem) as raised, on_postgresql.write() as connection:
        note(on_postgresql, connection, "a", "1")
    assert_away(raised)
    assert isinstance(raised.value.__cause__, InternalError)
    assert all_noted(on_postgresql) == {}


def test_other_greenlets_run_while_one_waits_for_postgresql(postgresql_url: str) -> None:
    # One greenlet waits for a lock that only the other can give back: this ends only when they take turns.
    program = f"""
from gevent import monkey; monkey.patch_all()
import gevent
from sqlalchemy import text
from leaderboard.archive.database import Archive
from leaderboard.settings import Settings

archive = Archive(Settings(database_url={postgresql_url!r}))
waits = text("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")

def want():
    with archive.write() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(1)"))

with archive.write() as holder:
    holder.execute(text("SELECT pg_advisory_xact_lock(1)"))
    wanting = gevent.spawn(want)
    while not holder.scalar(waits):
        gevent.sleep(0)
wanting.get()
archive.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=WITHIN_S)


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
