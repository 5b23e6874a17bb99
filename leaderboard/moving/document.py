"""The files that `leaderboard export` writes: where they may come to rest, and whether they are whole.

In JSON Lines, what is exported stands between two lines that say so:

    {"leaderboard_export": 1, "kind": "board", "version": "0.1.0", "at": "2026-11-22T12:00:00.000Z", …}
    …
    {"end": {"lines": 1201, "sha256": "9f86d081884c7d65…"}}

`lines` and `sha256` are of all lines before the last, line breaks included. So a file that was cut off, or damaged, is
told from a whole one before anything is done by it.
"""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from leaderboard.errors import LeaderboardError
from leaderboard.moving import values
from leaderboard.moving.foreign import SourceError
from leaderboard.moving.source import open_source
from leaderboard.moving.values import WrongValue

#: The member by which the first line is known, and the version of the form.
BEGINNING, FORMAT = "leaderboard_export", 1
#: The one member of the last line.
END = "end"

#: Bytes. Definitions and profiles are limited to some thousands.
LONGEST_LINE = 1 << 20

#: What is written goes to the file in pieces of so many bytes.
_BUFFER = 1 << 16
#: Lines between two words of how far a check is.
_TELL_EVERY = 50_000

#: Told the stage, how many are done and how many there are (0: unknown).
Progress = Callable[[str, int, int], None]


class ExportError(LeaderboardError):
    """A file that cannot be written."""


class Document:
    """Writes the lines of one export. `finish` it, or it is not whole."""

    def __init__(self, file: BinaryIO, kind: str, at: str | None, **more: Any) -> None:
        self._file, self._digest, self._lines = file, sha256(), 0
        self._waiting: list[bytes] = []
        self._bytes = 0
        self.add(orjson.dumps({BEGINNING: FORMAT, "kind": kind, "version": _version(), "at": at} | more))

    def add(self, line: bytes) -> None:
        """A line of JSON."""
        self._waiting += (line, b"\n")
        self._bytes += len(line)
        self._lines += 1
        if self._bytes >= _BUFFER:
            self._write()

    def finish(self) -> None:
        self._write()
        self._file.write(orjson.dumps({END: {"lines": self._lines, "sha256": self._digest.hexdigest()}}) + b"\n")

    def _write(self) -> None:
        text = b"".join(self._waiting)
        self._digest.update(text)
        self._file.write(text)
        self._waiting.clear()
        self._bytes = 0


@dataclass(frozen=True, slots=True)
class Whole:
    """A document that was read to its end and found whole."""

    beginning: dict[str, Any]
    #: All but the last.
    lines: int
    sha256: str


def is_document(path: str | Path) -> bool:
    """Does a file begin as an export in JSON Lines does? Raises SourceError."""
    with open_source(path, LONGEST_LINE) as source:
        return source.peek().startswith(f'{{"{BEGINNING}":'.encode())


def check(path: str | Path, kind: str, progress: Progress = lambda *_: None) -> Whole:
    """Read a document to its end. Raises SourceError unless it is a whole one of this kind."""
    digest, lines, line = sha256(), 0, b""
    with open_source(path, LONGEST_LINE) as source:
        first = next(source, b"")
        with values.standing_at(source.name, 1):
            beginning = read_beginning(first, kind)
        line = first
        for following in source:
            digest.update(line)
            lines += 1
            line = following
            if lines % _TELL_EVERY == 0:
                progress("checking", lines, 0)
        end = _end(line) if line.endswith(b"\n") else None
        if end is None:
            raise SourceError(source.name, None, "the file is cut off: the last line of an export is missing")
        if end != {"lines": lines, "sha256": digest.hexdigest()}:
            raise SourceError(source.name, None, "the file is damaged: its lines are not those it was written with")
    return Whole(beginning, lines, digest.hexdigest())


def read_beginning(line: bytes, kind: str) -> dict[str, Any]:
    """The first line of a document of this kind. Raises WrongValue."""
    try:
        beginning = values.parsed(line)
    except WrongValue:
        beginning = None
    if not isinstance(beginning, dict) or BEGINNING not in beginning:
        raise WrongValue("not a file that `leaderboard export` wrote as JSON Lines")
    check_beginning(beginning, kind)
    return beginning


def check_beginning(beginning: dict[str, Any], kind: str) -> None:
    """Raises WrongValue for a first line of another form or kind."""
    if beginning[BEGINNING] != FORMAT:
        raise WrongValue(f"it is of form {beginning[BEGINNING]!r}, and this version reads form {FORMAT}")
    if beginning.get("kind") != kind:
        raise WrongValue(f"it is an export of the kind {beginning.get('kind')}, not {kind}")


@contextmanager
def new_file(path: str | Path) -> Iterator[BinaryIO]:
    """What is written here is at `path` once all of it is written, packed where its name ends in .gz; `-` is standard
    output. Only we can read the file. Raises ExportError."""
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    place = Path(path)
    try:
        if place.exists() and not place.is_file():
            # A pipe, or /dev/null: not to be replaced by a file.
            with place.open("wb") as file, _packed(file, place) as packed:
                yield packed
        else:
            yield from _replaced(place)
    except OSError as error:
        raise ExportError(f"{place} cannot be written: {error.strerror or error}") from error


def _replaced(place: Path) -> Iterator[BinaryIO]:
    partial = place.with_name(f"{place.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with _packed(file, place) as packed:
                yield packed
            file.flush()
            os.fsync(file.fileno())
        partial.replace(place)
    finally:
        # Whatever stops this: half an export helps nobody, and is full of names.
        partial.unlink(missing_ok=True)


@contextmanager
def _packed(file: BinaryIO, place: Path) -> Iterator[BinaryIO]:
    if place.suffix != ".gz":
        yield file
        return
    with gzip.GzipFile("", "wb", fileobj=file, compresslevel=6) as packed:
        yield cast(BinaryIO, packed)


def _end(line: bytes) -> Any:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return row[END] if isinstance(row, dict) and row.keys() == {END} else None


def _version() -> str:
    return version("leaderboard-server")
