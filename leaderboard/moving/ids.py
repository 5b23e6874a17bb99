"""Which id here stands for which id there.

Most ids fit as they are. For one that does not, a map has what the operator says, or an id made of it: `x_` and the
first 24 hex digits of the SHA-256 of its bytes, which a game can work out for itself. The map is a CSV file of two
columns, `from` and `to`, one file for players and one for boards; what is made is added to it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from leaderboard.api.fields import BOARD_ID, PLAYER_ID, RESERVED_PLAYERS
from leaderboard.moving.foreign import SourceError
from leaderboard.moving.values import shown

#: What ids made by the service begin with.
_OURS = "p_"
_MADE = re.compile(r"x_[0-9a-f]{24}")

_HEADER = ["from", "to"]
_BOM = b"\xef\xbb\xbf"

#: Lines that wait until they are written. A crash loses no more than these, and the next run makes the same ids.
_WAITING_MOST = 1000


def _is_player(player: str) -> bool:
    return bool(PLAYER_ID.fullmatch(player)) and player not in RESERVED_PLAYERS


def _fits_player(player: str) -> bool:
    return _is_player(player) and not player.startswith(_OURS)


def _is_board(board: str) -> bool:
    return bool(BOARD_ID.fullmatch(board))


class IdMap:
    """Maps ids from elsewhere. `players` and `boards` are the files, read if they exist; None to remember nothing.

    Close it, or use it in a `with`, so that all that was made is written. Raises SourceError for a file that is not
    right or cannot be written, and rather than let two ids become one where no file says so.
    """

    def __init__(self, players: Path | None, boards: Path | None = None) -> None:
        self._players = _Kind("player", players, _is_player)
        self._boards = _Kind("board", boards, _is_board)

    def player(self, foreign_id: str, *, ours: bool = False) -> str:
        """`ours`: of an installation like this one, so one that the service made may stay."""
        return self._players.map(foreign_id, _is_player if ours else _fits_player)

    def board(self, foreign_id: str) -> str:
        return self._boards.map(foreign_id, _is_board)

    @property
    def made(self) -> int:
        """How many ids were made that no file had."""
        return self._players.made + self._boards.made

    def close(self) -> None:
        """Write what waits. The map can still be used."""
        self._players.write()
        self._boards.write()

    def __enter__(self) -> IdMap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Kind:
    """The ids of one kind: a file may map to what `is_id` tells."""

    def __init__(self, name: str, path: Path | None, is_id: Callable[[str], bool]) -> None:
        self.made = 0
        self._name = name
        self._path = path
        self._is_id = is_id
        self._to: dict[str, str] = {}
        #: Which foreign id has an id of ours; the first, where the file says so of several.
        self._from: dict[str, str] = {}
        self._waiting: list[bytes] = []
        #: What must be written before the next line.
        self._gap = _line(_HEADER)
        if path is not None:
            self._read(path)

    def map(self, foreign_id: str, may_stay: Callable[[str], bool]) -> str:
        known = self._to.get(foreign_id)
        if known is not None:
            return known
        fits = may_stay(foreign_id)
        here = foreign_id if fits else made_of(foreign_id)
        other = self._from.get(here)
        if other is not None:
            raise SourceError(
                str(self._path or "the map of ids"),
                None,
                f"the {self._name} ids {shown(other)} and {shown(foreign_id)} would both become {here!r}; "
                "say in the map what each is to be",
            )
        # One that fits but looks made is kept too, or another id that makes it would not be told from it next time.
        if not fits or _MADE.fullmatch(here):
            self._remember(foreign_id, here)
            self.made += not fits
        return here

    def write(self) -> None:
        if self._path is None or not self._waiting:
            return
        lines = self._gap + b"".join(self._waiting)
        try:
            # In one go: whatever ends this process leaves whole lines.
            with self._path.open("ab", buffering=0) as file:
                file.write(lines)
        except OSError as error:
            raise SourceError(str(self._path), None, f"cannot be written: {error.strerror}") from error
        self._waiting.clear()
        self._gap = b""

    def _remember(self, foreign_id: str, here: str) -> None:
        self._to[foreign_id] = here
        self._from.setdefault(here, foreign_id)
        if self._path is not None:
            self._waiting.append(_line([foreign_id, here]))
            if len(self._waiting) >= _WAITING_MOST:
                self.write()

    def _read(self, path: Path) -> None:
        try:
            raw = path.read_bytes().removeprefix(_BOM)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SourceError(str(path), None, f"cannot be read: {error.strerror}") from error
        if not raw:
            return
        self._gap = b"" if raw.endswith(b"\n") else b"\n"
        reader = csv.reader(io.StringIO(raw.decode("utf-8", "surrogateescape"), newline=""), strict=True)
        try:
            if next(reader, None) != _HEADER:
                raise SourceError(str(path), 1, "the header is not from,to")
            for row in reader:
                if row:
                    self._add(row, str(path), reader.line_num)
        except csv.Error as error:
            raise SourceError(str(path), reader.line_num, f"not CSV: {error}") from error

    def _add(self, row: list[str], source: str, line: int) -> None:
        if len(row) != len(_HEADER):
            raise SourceError(source, line, f"{len(row)} cells where there are two columns")
        foreign_id, here = row
        if not self._is_id(here):
            raise SourceError(source, line, f"{shown(here)} is not a {self._name} id")
        if self._to.setdefault(foreign_id, here) != here:
            raise SourceError(source, line, f"{shown(foreign_id)} already becomes {self._to[foreign_id]!r}")
        self._from.setdefault(here, foreign_id)


def made_of(foreign_id: str) -> str:
    """The id that is made of one that does not fit."""
    return "x_" + hashlib.sha256(foreign_id.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _line(cells: list[str]) -> bytes:
    """A line of CSV, all quoted: so any text is one, and a line that was cut off is not."""
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    return f"{quoted}\n".encode("utf-8", "surrogateescape")
