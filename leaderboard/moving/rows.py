"""Scores as rows of JSON Lines or CSV: the form to bring anything into.

    {"board": "kills", "player": "neo", "score": 12, "tiebreaks": {"deaths": 3}, "achieved_at": "1999-03-31T20:00:00Z"}

    player,score,board,tiebreaks.deaths,achieved_at,display_name,metadata
    neo,12,kills,3,1999-03-31,Neo,"{""level"": 7}"

`player` and `score` are required, and `board` unless the caller gives one. Empty cells and null are absent. Entries as
`leaderboard export` writes them have a `period_id`, `submissions` and maybe `newest_at`; their `rank` is not read, as
their order says it. In its JSON Lines they stand between two lines that are no rows (`document`).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from leaderboard.attached import attach
from leaderboard.moving import values
from leaderboard.moving.document import BEGINNING, END
from leaderboard.moving.foreign import ForeignScore, SourceError
from leaderboard.moving.source import Source, open_source
from leaderboard.moving.values import Refuse, WrongValue

_MEMBERS = frozenset({
    "board", "player", "score", "tiebreaks", "achieved_at", "metadata", "display_name", "period_id", "rank",
    "submissions", "newest_at", "replay",
})  # fmt: skip
_TIEBREAK = "tiebreaks."

#: Bytes; a thousand times what a row needs.
_LONGEST_LINE = 1 << 20


def read_rows(
    path: str | Path,
    board: str | None = None,
    *,
    begin: Callable[[dict[str, Any]], None] | None = None,
    refuse: Refuse | None = None,
) -> Iterator[ForeignScore]:
    """Read a file, or standard input for `-`; `board` is for rows that name none.

    Which form it has shows in its first line: no CSV header begins with a brace. Holds one row at a time. `begin` is
    given the first line of an export, before any row. Raises SourceError; rows are left out where `refuse` takes it.
    """
    with open_source(path, _LONGEST_LINE) as source:
        first = next((line for line in source if line.strip()), b"")
        if first.lstrip().startswith(b"{"):
            yield from _json_lines(source, first, board, begin, refuse)
        elif first.lstrip().startswith(b"["):
            raise source.error("a JSON array; write one object per line")
        elif first:
            yield from _csv(source, first, board, refuse)


def _json_lines(
    source: Source,
    first: bytes,
    board: str | None,
    begin: Callable[[dict[str, Any]], None] | None,
    refuse: Refuse | None,
) -> Iterator[ForeignScore]:
    is_export, has_ended = False, False
    for line in chain([first], source):
        if not line.strip():
            continue
        found = None
        with values.standing_at(source.name, source.line, refuse=refuse):
            row = values.parsed(line)
            if not isinstance(row, dict):
                raise WrongValue("not a JSON object")
            if begin and line is first and BEGINNING in row:
                is_export = True
                begin(row)
            elif is_export and END in row:
                has_ended = True
            else:
                _check_names("member", row.keys() - _MEMBERS)
                found = _score(row, board, source.line)
        if found:
            yield found
    if is_export and not has_ended:
        raise source.error("the file is cut off: the last line of an export is missing")


def _csv(source: Source, first: bytes, board: str | None, refuse: Refuse | None) -> Iterator[ForeignScore]:
    header_at = source.line
    reader = csv.reader(_texts(source, first), strict=True)
    header = _next_row(source, reader, header_at)
    with values.standing_at(source.name, header_at):
        _check_header(header or [], board)
    while True:
        # A quoted line break makes a row of several lines; it stands where it begins.
        line = source.line + 1
        row = _next_row(source, reader, line)
        if row is None:
            return
        if not row:
            continue
        found = None
        with values.standing_at(source.name, line, refuse=refuse):
            if len(row) != len(header or []):
                raise WrongValue(f"{len(row)} cells where the header has {len(header or [])}")
            found = _score(_members(zip(header or [], row, strict=True)), board, line)
        if found:
            yield found


def _texts(source: Source, first: bytes) -> Iterator[str]:
    for line in chain([first], source):
        with values.standing_at(source.name, source.line):
            if not line.endswith(b"\n"):
                # 12 may be what is left of 1200. JSON needs no such rule: its closing brace says that all is there.
                raise WrongValue("the last line has no line break, so it may be cut off; add one if it is whole")
            text = values.decoded(line)
        yield text


def _next_row(source: Source, reader: Iterator[list[str]], line: int) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        raise SourceError(source.name, line, f"not CSV: {error}") from error


def _check_header(header: list[str], board: str | None) -> None:
    _check_names("column", {name for name in header if name not in _MEMBERS - {"tiebreaks"} and not _is_tiebreak(name)})
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise WrongValue(f"the header names {_listed(twice)} twice")
    missing = {"player", "score"} | (set() if board else {"board"})
    if missing - set(header):
        raise WrongValue(f"the header lacks {_listed(missing - set(header))}")


def _is_tiebreak(name: str) -> bool:
    return name.startswith(_TIEBREAK) and name != _TIEBREAK


def _check_names(kind: str, unknown: set[str]) -> None:
    if unknown:
        raise WrongValue(f"unknown {kind}{'s' if len(unknown) > 1 else ''} {_listed(unknown)}")


def _listed(names: set[str]) -> str:
    return ", ".join(values.shown(name) for name in sorted(names))


def _members(cells: Iterator[tuple[str, str]]) -> dict[str, Any]:
    """What the cells would be in JSON."""
    row: dict[str, Any] = {}
    tiebreaks: dict[str, Any] = {}
    for name, cell in cells:
        if not cell:
            continue
        if name.startswith(_TIEBREAK):
            tiebreaks[name.removeprefix(_TIEBREAK)] = values.number(cell, name)
        elif name in ("score", "submissions"):
            row[name] = values.number(cell, name)
        elif name == "metadata":
            row[name] = values.parsed(cell.encode())
        else:
            row[name] = cell
    return row | {"tiebreaks": tiebreaks}


def _score(row: dict[str, Any], board: str | None, line: int) -> ForeignScore:
    given = {name: value for name, value in row.items() if value is not None}
    if "score" not in given:
        raise WrongValue("score is missing")
    tiebreaks = given.get("tiebreaks", {})
    if not isinstance(tiebreaks, dict):
        raise WrongValue("tiebreaks is not a JSON object")
    return ForeignScore(
        board=values.text(given.get("board", board), "board"),
        player=values.text(given.get("player"), "player"),
        score=values.score(given["score"]),
        tiebreaks={name: values.integer(value, f"{_TIEBREAK}{name[:64]}") for name, value in tiebreaks.items()},
        achieved_ms=values.instant(given["achieved_at"], "achieved_at") if "achieved_at" in given else None,
        metadata=attach(
            values.metadata(given["metadata"]) if "metadata" in given else b"",
            values.replay(given["replay"]) if "replay" in given else None,
        ),
        display_name=values.text(given["display_name"], "display_name") if "display_name" in given else None,
        line=line,
        period_id=values.period_id(given["period_id"]) if "period_id" in given else None,
        submissions=values.submissions(given["submissions"]) if "submissions" in given else 1,
        newest_ms=values.instant(given["newest_at"], "newest_at") if "newest_at" in given else None,
    )
