"""How the archive's tables are made and brought up to date."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from traceback import format_exception
from typing import Any, Protocol

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from leaderboard.archive import schema
from leaderboard.archive.database import Archive
from leaderboard.archive.tables import tables
from leaderboard.errors import SettingError
from leaderboard.settings import Settings
from tests import cheaper
from tests.live import WITHIN_S


class Open(Protocol):
    def __call__(self, database_url: str | None = None, namespace: str = "lb", data_dir: Path = Path()) -> Archive: ...


@pytest.fixture(autouse=True)
def _migrations_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere what they once came to is repeated."""
    monkeypatch.setattr(schema, "upgrade", cheaper.upgrade)


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens archives, and closes them at the end."""
    with ExitStack() as stack:

        def opened(database_url: str | None = None, namespace: str = "lb", data_dir: Path = Path()) -> Archive:
            archive = Archive(Settings(database_url=database_url, namespace=namespace, data_dir=data_dir))
            stack.callback(archive.close)
            return archive

        yield opened


def table_names(archive: Archive) -> set[str]:
    with archive.read() as connection:
        return set(inspect(connection).get_table_names())


def definitions(connection: Connection) -> set[Any]:
    """Every table, column and index as the database has it, whatever their order."""
    if connection.dialect.name == "sqlite":
        statements = connection.scalars(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
        return {" ".join(sql.split()) for sql in statements if "_schema" not in sql}
    columns = connection.execute(
        text("""
        SELECT t.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.collname,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid AND t.relkind = 'r' AND a.attnum > 0
        LEFT JOIN pg_collation c ON c.oid = a.attcollation
        LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
        WHERE t.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE '%\\_schema'""")
    )
    indexes = connection.execute(
        text(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE '%\\_schema'"
        )
    )
    return {tuple(row) for row in (*columns, *indexes)}


def test_looking_makes_nothing(opened: Open, database_url: str, tmp_path: Path) -> None:
    archive = opened(database_url)
    assert not archive.exists()
    assert archive.revision() is None
    assert list(tmp_path.rglob("*")) == []
    if archive.dialect == "postgresql":
        assert table_names(archive) == set()


def test_an_archive_exists_once_it_was_made(opened: Open, database_url: str) -> None:
    archive = opened(database_url)
    archive.migrate()
    assert archive.exists()
    assert archive.revision() == archive.head()
    archive.migrate()
    assert archive.revision() == archive.head()


def test_the_migrations_make_exactly_the_tables_of_today(opened: Open, database_url: str) -> None:
    archive = opened(database_url)
    archive.migrate()
    with archive.write() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": archive.tables.schema})
        assert compare_metadata(context, archive.tables.metadata) == []
        # That does not look at collations, nor at what only SQLite has.
        migrated = definitions(connection)
        archive.tables.metadata.drop_all(connection)
        archive.tables.metadata.create_all(connection)
        assert migrated == definitions(connection)


def test_two_namespaces_live_side_by_side(opened: Open, database_url: str) -> None:
    one, other = opened(database_url, "one"), opened(database_url, "two")
    one.migrate()
    assert not other.exists()
    other.migrate()
    with one.write() as connection:
        connection.execute(one.upsert(one.tables.keys, ["key_id", "record"]), {"key_id": "k", "record": "{}"})
    with other.read() as connection:
        assert connection.execute(other.tables.keys.select()).all() == []
    names = {name for name in table_names(one) if not name.startswith("sqlite_")}
    expected = {*tables("one").metadata.tables, *tables("two").metadata.tables, "one_schema", "two_schema"}
    assert names == expected


def test_a_newer_archive_is_refused_and_left_alone(opened: Open, database_url: str) -> None:
    archive = opened(database_url)
    archive.migrate()
    with archive.write() as connection:
        connection.execute(text("UPDATE lb_schema SET version_num = '9999'"))
        connection.execute(text("DROP TABLE lb_keys"))
    with pytest.raises(SettingError, match="newer version"):
        archive.migrate()
    assert archive.revision() == "9999"
    assert "lb_keys" not in table_names(archive)


def test_a_migration_that_fails_half_way_leaves_nothing(opened: Open, database_url: str) -> None:
    archive, other = opened(database_url), opened(database_url, "other")
    other.migrate()
    before = table_names(other)
    with archive.write() as connection:
        # The last that is made.
        connection.execute(text("CREATE TABLE lb_submissions (id INTEGER)"))
    with pytest.raises((ProgrammingError, OperationalError), match="lb_submissions"):
        archive.migrate()
    assert table_names(archive) == {*before, "lb_submissions"}
    assert not archive.exists()
    with archive.write() as connection:
        connection.execute(text("DROP TABLE lb_submissions"))
    archive.migrate()
    assert archive.exists()


def test_several_processes_may_migrate_at_once(opened: Open, database_url: str) -> None:
    # Each makes the same archives in the same order, so that they meet again and again, the first time on a new file.
    program = """
import sys
from leaderboard.archive.database import Archive
from leaderboard.settings import Settings
archives = [Archive(Settings(database_url=sys.argv[1], namespace=f"n{number}")) for number in range(8)]
archives[0].head()
print("ready", flush=True)
sys.stdin.readline()
for archive in archives:
    archive.migrate()
    assert archive.revision() == archive.head()
    archive.close()
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, database_url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=WITHIN_S)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, "\n".join(told)
    archive = opened(database_url, "n7")
    assert archive.exists()


def test_a_user_who_may_make_no_tables_is_told_so(opened: Open, postgresql_url: str) -> None:
    archive = opened(postgresql_url)
    with archive.write() as connection:
        connection.execute(text("DROP ROLE IF EXISTS guest"))
        connection.execute(text("CREATE ROLE guest LOGIN"))
    guest = opened(postgresql_url.replace("postgres@", "guest@"))
    with pytest.raises(SettingError, match="may not make tables"):
        guest.migrate()


def test_only_we_can_read_the_file_and_its_directory(opened: Open, tmp_path: Path) -> None:
    data_dir = tmp_path / "100% data dir?mode=ro"
    archive = opened(data_dir=data_dir)
    archive.migrate()
    with archive.read() as connection:
        connection.execute(archive.tables.keys.select())
        modes = {path.name: path.stat().st_mode & 0o777 for path in data_dir.iterdir()}
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert modes == {"archive.sqlite": 0o600, "archive.sqlite-wal": 0o600, "archive.sqlite-shm": 0o600}


def test_a_place_where_no_file_can_be_made_is_a_setting_that_is_wrong(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="cannot be made"):
        opened(data_dir=tmp_path / "file").migrate()
    with pytest.raises(SettingError, match="cannot be made"):
        opened(f"sqlite:///{tmp_path}/file/below/archive.sqlite").migrate()


def test_an_empty_file_is_an_archive_to_be_made(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "archive.sqlite").touch()
    archive = opened(data_dir=tmp_path)
    assert not archive.exists()
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("archive.sqlite", 0)]
    archive.migrate()
    assert archive.exists()


@pytest.mark.parametrize(
    "address",
    [
        "mysql://ann:hunter2@db/game",
        "ann:hunter2@db/game",
        "hunter2",
        "postgresql+asyncpg://ann:hunter2@db/game",
        "postgresql://ann:hunter2@db:hunter2/game",
        "postgresql://ann:x/hunter2@db:port/game",
        "postgresql://ann:hunter2@db/game?sslmodus=require",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://ann:hunter2@db/game",
        "sqlite:///game?mode=memory",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(SettingError, match="LEADERBOARD_DATABASE_URL") as raised:
        Archive(Settings(database_url=address))
    assert "hunter2" not in "".join(format_exception(raised.value))


@pytest.mark.parametrize(
    ("address", "dialect"),
    [
        (None, "sqlite"),
        ("sqlite:///archive.sqlite", "sqlite"),
        ("sqlite:////var/lib/game/archive.sqlite", "sqlite"),
        ("postgres://ann:p%40ss@db/game", "postgresql"),
        ("postgresql://ann@db:5433/game?sslmode=require&connect_timeout=2", "postgresql"),
        ("postgresql://ann@/game?host=one:5432&host=two:5432&target_session_attrs=read-write", "postgresql"),
        ("postgresql:///game", "postgresql"),
    ],
)
def test_an_address_that_can_be_used_is_taken_and_nothing_is_touched(address: str | None, dialect: str) -> None:
    assert Archive(Settings(database_url=address)).dialect == dialect
