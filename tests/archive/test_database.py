"""The archive's database, on SQLite and PostgreSQL: transactions, order, and what happens while it is away."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from sqlalchemy import bindparam, delete, insert, select, text
from sqlalchemy.exc import IntegrityError, InternalError, OperationalError, ProgrammingError

from leaderboard.archive.database import Archive
from leaderboard.errors import Problem
from leaderboard.settings import Settings
from tests.archive.noting import all_noted, assert_away, note, noted
from tests.databases import PostgreSQL
from tests.live import WITHIN_S


@pytest.fixture
def archive(database_url: str) -> Iterator[Archive]:
    archive = Archive(Settings(database_url=database_url))
    archive.migrate()
    yield archive
    archive.close()


@pytest.fixture
def on_postgresql(postgresql_url: str) -> Iterator[Archive]:
    archive = Archive(Settings(database_url=postgresql_url))
    archive.migrate()
    yield archive
    archive.close()


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
