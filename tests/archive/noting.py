"""Something to be read and written in an archive, and how one that is away says so."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, select

from leaderboard.archive.database import Archive
from leaderboard.errors import Problem


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
