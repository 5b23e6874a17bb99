"""Which revision the archive's tables have, and how they get to that of this version."""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, inspect, select, table

from leaderboard.archive.tables import Tables
from leaderboard.errors import SettingError


def revision(connection: Connection, tables: Tables) -> str | None:
    """The revision of the tables that are there, None where there are none."""
    if not inspect(connection).has_table(tables.schema):
        return None
    return connection.scalar(select(column("version_num")).select_from(table(tables.schema)))


@cache
def head() -> str:
    """The revision that this version works with."""
    return _steps()[0]


def upgrade(connection: Connection, tables: Tables) -> None:
    """Bring the tables to `head()`, in the transaction that runs. Raises SettingError when they are newer than that."""
    found = revision(connection, tables)
    if found is not None and found not in _steps():
        raise SettingError(
            f"the archive was written by a newer version of leaderboard (its tables are {found}, this version knows "
            f"{head()}); start that version again, or set another LEADERBOARD_DATABASE_URL"
        )
    config = _config()
    config.attributes.update(connection=connection, tables=tables)
    command.upgrade(config, "head")


def _steps() -> list[str]:
    """Every revision, newest first."""
    return [step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "leaderboard.archive:migrations")
    return config
