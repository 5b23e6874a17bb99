"""The word that the archive is being filled (leaderboard/rebuild/archive.py) and holds a part of what it should.

It stands in `installation` from the first transaction of a filling until all was compared. Nothing is to be made from
such an archive, nor answered: `readers.read_position` has none for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, insert, select

if TYPE_CHECKING:
    from leaderboard.archive.database import Archive

_NAME = "filling"

#: Begins what is noted by an import of a whole installation, which makes the store when it has all rows.
IMPORT = "import "

HALF_IMPORTED = (
    "an import of a whole installation has not come to its end here: if none runs, "
    "run `leaderboard import installation FILE` again"
)


def filled_by(connection: Connection, archive: Archive) -> str | None:
    """Who fills it, or did so last without getting to the end; None for an archive that is whole."""
    installation = archive.tables.installation
    return connection.scalar(select(installation.c.value).where(installation.c.name == _NAME))


def is_half_imported(archive: Archive) -> bool:
    """Whether an archive that holds something is what an import has brought so far. It may be going on."""
    with archive.read() as connection:
        return (filled_by(connection, archive) or "").startswith(IMPORT)


def note_filling(connection: Connection, archive: Archive, by: str) -> None:
    """From now on it is this one."""
    end_filling(connection, archive)
    connection.execute(insert(archive.tables.installation).values(name=_NAME, value=by))


def end_filling(connection: Connection, archive: Archive) -> None:
    installation = archive.tables.installation
    connection.execute(delete(installation).where(installation.c.name == _NAME))
