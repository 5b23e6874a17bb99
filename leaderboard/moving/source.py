"""The bytes of a source: a file or standard input, gzip or not, line by line with its number."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from leaderboard.moving.foreign import SourceError

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"

#: What reading a file raises, and unpacking one that is damaged or cut off.
_FAILURES = (OSError, EOFError, zlib.error)


class Source:
    """What is read, in order and once. Iterating gives the lines, each with its line break where it has one."""

    def __init__(self, name: str, file: io.BufferedReader | gzip.GzipFile, longest: int) -> None:
        #: For messages.
        self.name = name
        #: The number of the line that was read last.
        self.line = 0
        self._file = file
        self._longest = longest
        if self.peek().startswith(_BOM):
            self.read(len(_BOM))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.line += 1
        try:
            line = self._file.readline(self._longest)
        except _FAILURES as error:
            raise self.error(f"cannot be read on: {error}") from error
        if not line:
            self.line -= 1
            raise StopIteration
        if len(line) == self._longest and not line.endswith(b"\n"):
            raise self.error(f"longer than {self._longest} bytes")
        return line

    def read(self, size: int) -> bytes:
        """At most that many bytes; none at the end."""
        try:
            return self._file.read(size)
        except _FAILURES as error:
            raise SourceError(self.name, None, f"cannot be read on: {error}") from error

    def peek(self) -> bytes:
        """Some of the bytes that come next, which stay unread; none at the end."""
        try:
            return self._file.peek(1024)
        except _FAILURES as error:
            raise SourceError(self.name, None, f"cannot be read: {error}") from error

    def error(self, problem: str) -> SourceError:
        """An error at the line that was read last."""
        return SourceError(self.name, self.line or None, problem)


@contextmanager
def open_source(path: str | Path, longest: int = -1) -> Iterator[Source]:
    """Open a file, or standard input for `-`. Gzip is known by its first bytes, so a pipe may be packed as well.

    A line of `longest` bytes or more is an error, so that a file without line breaks does not fill the memory; with -1
    lines may have any length. Raises SourceError.
    """
    if str(path) == "-":
        yield _unpacked("standard input", cast(io.BufferedReader, sys.stdin.buffer), longest)
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise SourceError(str(path), None, f"cannot be opened: {error.strerror}") from error
    with file:
        yield _unpacked(str(path), file, longest)


def _unpacked(name: str, file: io.BufferedReader, longest: int) -> Source:
    try:
        packed = file.peek(2).startswith(_GZIP)
    except OSError as error:
        raise SourceError(name, None, f"cannot be read: {error}") from error
    return Source(name, gzip.GzipFile(fileobj=cast(BinaryIO, file)) if packed else file, longest)
