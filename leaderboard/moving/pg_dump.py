"""The rows of some tables out of a dump that pg_dump wrote as SQL, read line by line.

Data come as `COPY … FROM stdin;` blocks or as INSERT statements (`--inserts`, `--column-inserts`,
`--rows-per-insert`). What players wrote stands in the data of other tables, so these are skipped by the rules they
were written by, cheaply, but never searched: a line in somebody's profile may look like a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.moving import values
from leaderboard.moving.foreign import SourceError
from leaderboard.moving.source import Source
from leaderboard.moving.values import WrongValue

_NAME = rb'(?:"(?:[^"]|"")+"|[^\s".,()]+)'
_TABLE = rb"(?:(?P<schema>" + _NAME + rb")\.)?(?P<table>" + _NAME + rb")"
_COLUMNS = rb"(?: \((?P<columns>" + _NAME + rb"(?:, " + _NAME + rb")*)\))?"
_COPY = re.compile(rb"COPY " + _TABLE + _COLUMNS + rb" FROM stdin(?P<options>[^;]*);\s*")
_INSERT = re.compile(rb"INSERT INTO " + _TABLE + _COLUMNS + rb"(?: OVERRIDING \w+ VALUE)? VALUES\b")
_CREATE = re.compile(rb"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?" + _TABLE + rb" \(\s*")
_CREATE_COLUMN = re.compile(
    rb"\s+(?!(?:CONSTRAINT|CHECK|PRIMARY|UNIQUE|FOREIGN|EXCLUDE|LIKE) )(?P<name>" + _NAME + rb") .*\s*"
)
_ENCODING = re.compile(rb"SET client_encoding = '(.*)';\s*")

_OPEN = re.compile(rb"\s*\(")
#: One value of an INSERT, and what ends it.
_VALUE = re.compile(rb"\s*(?:(?P<bare>[\w.+-]+)|(?P<escapes>E?)'(?P<text>[^']*(?:''[^']*)*)')\s*(?P<end>[,)])")
_NEXT = re.compile(rb"\s*(?:,|(?:ON CONFLICT DO NOTHING\s*)?;)\s*")

_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.)|$)", re.DOTALL)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}

_END_OF_DATA = rb"\."
_BEGIN, _END = b"-- PostgreSQL database dump", b"-- PostgreSQL database dump complete"


@dataclass(frozen=True, slots=True)
class Row:
    table: str
    #: Column → its text; None for NULL.
    values: dict[str, str | None]
    #: The line it begins on; in a statement with several rows on one line, each counts as a further line.
    line: int


class Dump:
    """The rows of `tables`, to be iterated once. Raises SourceError.

    `tables` gives each table's columns in the order of its schema, for INSERTs without names in a dump that does not
    create the table.
    """

    def __init__(self, source: Source, tables: Mapping[str, Sequence[str]]) -> None:
        self._source = source
        self._columns = {table: tuple(columns) for table, columns in tables.items()}
        self._row_line = 0
        self._database = ""
        self._place: tuple[str, str] | None = None
        self._begun = False
        #: The tables that are in the dump, be they empty.
        self.found: set[str] = set()

    def __iter__(self) -> Iterator[Row]:
        for line in self._source:
            if line.startswith(b"COPY "):
                yield from self._copy(line)
            elif line.startswith(b"INSERT INTO "):
                yield from self._insert(line)
            elif line.startswith(b"CREATE "):
                self._create(line)
            elif line.startswith((b"--", b"SET ", b"\\connect ", b"PGDMP", b"toc.dat\0")):
                self._note(line)
        if self._begun:
            raise self._cut_off("pg_dump's last line is missing")

    def _note(self, line: bytes) -> None:
        encoding = _ENCODING.fullmatch(line)
        if line.rstrip() == _BEGIN:
            self._begun = True
        elif line.rstrip() == _END:
            self._begun = False
        elif line.startswith(b"\\connect "):
            self._database = line.split(maxsplit=1)[1].decode(errors="replace").strip()
        elif encoding and encoding[1] not in (b"UTF8", b"SQL_ASCII"):
            raise self._source.error("the dump is not in UTF-8; make it with pg_dump --encoding=UTF8")
        elif line.startswith((b"PGDMP", b"toc.dat\0")):
            raise self._source.error("a dump in an archive format; turn it into SQL with pg_restore -f dump.sql")

    def _lines_of(self, what: str) -> Iterator[bytes]:
        """The lines that follow, as long as `what` is read from them; the file must not end before."""
        yield from self._source
        raise self._cut_off(f"it ends within {what}")

    def _cut_off(self, detail: str) -> SourceError:
        return self._source.error(f"the dump is cut off: {detail}")

    def _ours(self, match: re.Match[bytes] | None) -> str | None:
        """The table that is matched, if it is one of those to be read."""
        table = _unquoted(match["table"]) if match else None
        if match is None or table not in self._columns:
            return None
        self.found.add(table)
        return table

    def _columns_of(self, match: re.Match[bytes], table: str) -> tuple[str, ...]:
        """The columns of a table whose data begin here. Data of two tables of one name must not be mixed up."""
        place = (self._database, _unquoted(match["schema"] or b""))
        self._place = self._place or place
        if place != self._place:
            raise self._source.error(f"{table} is in more than one database or schema; dump one with pg_dump --schema")
        if match["columns"] is None:
            return self._columns[table]
        return tuple(_unquoted(name) for name in re.findall(_NAME, match["columns"]))

    def _row(self, table: str, columns: tuple[str, ...], cells: Sequence[str | None], line: int) -> Row:
        if len(cells) != len(columns):
            raise WrongValue(
                f"{len(cells)} values where {table} has {len(columns)} columns; try pg_dump --column-inserts"
            )
        self._row_line = max(line, self._row_line + 1)
        return Row(table, dict(zip(columns, cells, strict=True)), self._row_line)

    # -- CREATE TABLE --------------------------------------------------------------------------------------------

    def _create(self, line: bytes) -> None:
        match = _CREATE.fullmatch(line)
        table = self._ours(match)
        if table is None:
            return
        columns = []
        for inner in self._lines_of(f"CREATE TABLE {table}"):
            if inner.startswith(b")"):
                break
            column = _CREATE_COLUMN.fullmatch(inner)
            if column:
                columns.append(_unquoted(column["name"]))
        self._columns[table] = tuple(columns)

    # -- COPY ----------------------------------------------------------------------------------------------------

    def _copy(self, line: bytes) -> Iterator[Row]:
        match = _COPY.fullmatch(line)
        table = self._ours(match)
        if match is None or table is None:
            if b" from stdin" in line.lower():
                self._skip_data()
            return
        if match["options"].strip():
            raise self._source.error(f"the data of {table} are not in the text form of COPY that pg_dump writes")
        columns = self._columns_of(match, table)
        for data in self._lines_of(f"the data of {table}"):
            if data.rstrip(b"\r\n") == _END_OF_DATA:
                return
            if not data.endswith(b"\n"):
                continue
            with values.standing_at(self._source.name, self._source.line):
                cells = [copied(cell) for cell in data.rstrip(b"\r\n").split(b"\t")]
                row = self._row(table, columns, cells, self._source.line)
            yield row

    def _skip_data(self) -> None:
        for data in self._lines_of("the data of a table"):
            if data.rstrip(b"\r\n") == _END_OF_DATA:
                return

    # -- INSERT --------------------------------------------------------------------------------------------------

    def _insert(self, line: bytes) -> Iterator[Row]:
        match = _INSERT.match(line)
        table = self._ours(match)
        # A name may have an apostrophe, which begins no text.
        rest = line[match.end() :] if match else line
        if match is None or table is None:
            self._skip_statement(rest)
            return
        columns = self._columns_of(match, table)
        lines = self._lines_of(f"an INSERT INTO {table}")
        begins = self._source.line
        while True:
            # A text with line breaks. Apostrophes within are doubled, so at its end their number is even.
            while rest.count(b"'") % 2:
                rest += next(lines)
            if rest.strip():
                with values.standing_at(self._source.name, begins):
                    rows = [self._row(table, columns, cells, begins) for cells in _tuples(rest)]
                yield from rows
            if rest.rstrip().endswith(b";"):
                return
            rest = next(lines)
            begins = self._source.line

    def _skip_statement(self, rest: bytes) -> None:
        lines = self._lines_of("an INSERT")
        apostrophes = rest.count(b"'")
        while apostrophes % 2 or not rest.rstrip().endswith(b";"):
            rest = next(lines)
            apostrophes += rest.count(b"'")


def _unquoted(name: bytes) -> str:
    if name.startswith(b'"'):
        name = name[1:-1].replace(b'""', b'"')
    return name.decode("utf-8", "replace")


def copied(cell: bytes) -> str | None:
    r"""One value as COPY writes it: \N is NULL; backslashes escape line breaks, tabs and themselves."""
    if cell == rb"\N":
        return None
    return values.decoded(_ESCAPE.sub(_escaped, cell) if b"\\" in cell else cell)


def _escaped(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, letter = match.groups()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if letter is None:
        raise WrongValue("a backslash that escapes nothing")
    return _LETTERS.get(letter, bytes(letter))


def _tuples(rest: bytes) -> Iterator[list[str | None]]:
    """The values of each row in a part of a statement that cuts no row in two."""
    at = 0
    while at < len(rest):
        opened = _OPEN.match(rest, at)
        if opened is None:
            raise WrongValue("not an INSERT as pg_dump writes it")
        at, cells, end = opened.end(), list[str | None](), b","
        while end == b",":
            value = _VALUE.match(rest, at)
            if value is None:
                raise WrongValue("not an INSERT as pg_dump writes it")
            cells.append(_inserted(value))
            at, end = value.end(), value["end"]
        ended = _NEXT.match(rest, at)
        if ended is None:
            raise WrongValue("not an INSERT as pg_dump writes it")
        at = ended.end()
        yield cells


def _inserted(value: re.Match[bytes]) -> str | None:
    if value["bare"] is not None:
        return None if value["bare"] == b"NULL" else values.decoded(value["bare"])
    text = value["text"].replace(b"''", b"'")
    return values.decoded(_ESCAPE.sub(_escaped, text) if value["escapes"] else text)
