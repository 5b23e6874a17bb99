"""The words that a game does not want in display names: a file of its own, read anew whenever it changes.

One word a line, UTF-8. What follows a ``#`` is a comment. A word is found anywhere in a name, across spaces and signs
too; ``=word`` is refused only as the whole name. Both sides are compared as `fold` makes them.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import regex

from leaderboard.errors import SettingError, invalid

log = logging.getLogger(__name__)

#: Accents, which do not make another word of it; marks of scripts that write vowels with them are others.
_ACCENTS = regex.compile(r"[\u0300-\u036F\u1AB0-\u1AFF\u1DC0-\u1DFF\u20D0-\u20FF\uFE20-\uFE2F]")
_SEPARATORS = regex.compile(r"[^\p{L}\p{M}\p{N}]")


def fold(text: str) -> str:
    """NFKC, case-folded, without accents, and without all that is no letter, mark or number."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", folded))
    return str(_SEPARATORS.sub("", unicodedata.normalize("NFKC", bare).casefold()))


@dataclass(frozen=True, slots=True)
class _Words:
    #: When the file was changed, its size and its number: what tells one file from the next.
    stamp: tuple[int, int, int]
    anywhere: tuple[str, ...]
    whole: frozenset[str]


class NameBlocklist:
    """What `LEADERBOARD_NAME_BLOCKLIST` names; without it every name passes."""

    def __init__(self, path: Path | None) -> None:
        """Raises SettingError for a file that cannot be used."""
        self._path = path
        self._words = _read(path) if path else None
        #: The last complaint, so that it is made once.
        self._complaint = ""

    def refuses(self, name: str) -> bool:
        """Looks at the file first, which costs a `stat`. When it went away, or is wrong now, the words stay as they
        were, and the log says so: a slip while editing must not open the door."""
        self._read_again()
        if self._words is None:
            return False
        folded = fold(name)
        return folded in self._words.whole or any(word in folded for word in self._words.anywhere)

    def check(self, name: str | None) -> None:
        """Raises 422 `invalid` that points at `display_name`, with the code `name_not_allowed`."""
        if name is not None and self.refuses(name):
            raise invalid("/display_name", "name_not_allowed", "this name is not allowed here")

    def _read_again(self) -> None:
        if self._path is None or self._words is None:
            return
        try:
            if _stamp(os.stat(self._path)) != self._words.stamp:
                self._words = _read(self._path)
            self._complaint = ""
        except (OSError, SettingError) as error:
            if self._complaint != str(error):
                log.error("the name blocklist stays as it was: %s", error)
            self._complaint = str(error)


def _read(path: Path) -> _Words:
    anywhere, whole = [], set()
    try:
        with path.open("rb") as file:
            stamp = _stamp(os.fstat(file.fileno()))
            lines = file.read().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"LEADERBOARD_NAME_BLOCKLIST: {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        given = line.partition("#")[0].strip()
        word = fold(given)
        if given and not word:
            raise SettingError(f"LEADERBOARD_NAME_BLOCKLIST: {path}, line {number}: no letter or digit in {given!r}")
        if given.startswith("="):
            whole.add(word)
        elif word:
            anywhere.append(word)
    return _Words(stamp, tuple(anywhere), frozenset(whole))


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_size, status.st_ino
