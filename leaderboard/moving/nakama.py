"""Scores from Nakama: out of a dump of its PostgreSQL database, or out of JSON as its API lists records.

What the columns mean is looked up in heroiclabs/nakama (migrate/sql/20180103142001_initial_schema.sql,
20180805174141-tournaments.sql, server/leaderboard_cache.go, server/core_leaderboard.go, server/core_tournament.go,
nakama-common/api/api.proto):

- `score` and `subscore` order a board, both the way of its `sort_order`: 0 is ascending, 1 descending. What is then
  still equal Nakama orders by owner id; here whoever was first is ahead.
- `operator`: 0 best, 1 set, 2 increment, 3 decrement. (Its API counts the same from 1.) Its best takes the better
  subscore even from a submission with a worse score.
- `expiry_time` is when the occurrence that the record counts in ends: the next reset after it was written, or 1970 on
  boards without resets. A record whose expiry has come is not of the current occurrence, and Nakama no longer lists it.
- Whoever joins a tournament gets a record with `num_score` 0, before any score.
- The API leaves out members that are zero or empty, and writes scores as texts, as protobuf has it for 64 bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

from leaderboard import periods
from leaderboard.model import Order, Policy, Tiebreak
from leaderboard.moving import values
from leaderboard.moving.foreign import ForeignBoard, ForeignScore, SourceError
from leaderboard.moving.json_items import JsonItems
from leaderboard.moving.pg_dump import Dump
from leaderboard.moving.source import Source, open_source
from leaderboard.moving.values import Refuse, WrongValue

_BOARDS, _RECORDS = "leaderboard", "leaderboard_record"
#: In the order in which the migrations add the columns.
_TABLES = {
    _BOARDS: (
        "id", "authoritative", "sort_order", "operator", "reset_schedule", "metadata", "create_time", "category",
        "description", "duration", "end_time", "join_required", "max_size", "max_num_score", "title", "size",
        "start_time", "enable_ranks",
    ),
    _RECORDS: (
        "leaderboard_id", "owner_id", "username", "score", "subscore", "num_score", "metadata", "create_time",
        "update_time", "expiry_time", "max_num_score",
    ),
}  # fmt: skip

_ORDERS = {"0": Order.ASC, "1": Order.DESC}
_POLICIES = {"0": Policy.BEST, "1": Policy.LATEST, "2": Policy.SUM, "3": None}

#: Members with records: of its API's lists, and of its console's export of an account.
_LISTS = ("records", "leaderboard_records")
#: What else such a list has.
_BESIDE_LISTS = {"owner_records", "next_cursor", "prev_cursor", "rank_count"}

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_INSTANT = re.compile(
    r"[0-9]{4,}-[0-9]{2}-[0-9]{2}[ T][0-9:]{8}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}(:[0-9]{2}(:[0-9]{2})?)?)"
)


class Expired(StrEnum):
    """What to do with records of past occurrences."""

    SKIP = "skip"
    KEEP = "keep"


class Nakama:
    """The boards, where the source has them, and the scores of a dump or of JSON, in its order; to be iterated once.

    `now_ms` decides what is expired. While it is read, `expired` counts the records of past occurrences, be they kept
    or not, and `unscored` those without a submission, which are never given out. Holds one record at a time. Raises
    SourceError; rows are left out where `refuse` takes it.
    """

    def __init__(
        self, path: str | Path, now_ms: int, expired: Expired = Expired.SKIP, *, refuse: Refuse | None = None
    ) -> None:
        self.expired = 0
        self.unscored = 0
        self._path = path
        self._refuse = refuse
        self._now_ms = now_ms
        self._keep = expired is Expired.KEEP

    def __iter__(self) -> Iterator[ForeignBoard | ForeignScore]:
        with open_source(self._path) as source:
            if source.peek().lstrip()[:1] in (b"{", b"["):
                yield from self._json(source)
            else:
                yield from self._dump(source)

    def _dump(self, source: Source) -> Iterator[ForeignBoard | ForeignScore]:
        dump = Dump(source, _TABLES)
        for row in dump:
            found: ForeignBoard | ForeignScore | None = None
            with values.standing_at(source.name, row.line, refuse=self._refuse):
                if row.table == _BOARDS:
                    found = _board(row.values)
                else:
                    for column in ("score", "expiry_time"):
                        if row.values.get(column) is None:
                            raise WrongValue(f"{column} is missing")
                    found = self._score(row.values, row.line)
            if found:
                yield found
        if _RECORDS not in dump.found:
            raise SourceError(source.name, None, f"neither JSON nor a dump with the table {_RECORDS}")

    def _json(self, source: Source) -> Iterator[ForeignScore]:
        items = iter(JsonItems(source, _LISTS))
        line = 1
        while True:
            with values.standing_at(source.name, line, "record"):
                item = next(items, None)
                if item is None:
                    return
                records = _records_in(item)
            for record in records:
                found = None
                with values.standing_at(source.name, line, "record", self._refuse):
                    found = self._score(_in_snake_case(record), line)
                line += 1
                if found:
                    yield found

    def _score(self, record: Mapping[str, Any], line: int) -> ForeignScore | None:
        if _is_unscored(record):
            self.unscored += 1
            return None
        expiry_ms = _instant(record, "expiry_time")
        if expiry_ms and expiry_ms <= self._now_ms:
            self.expired += 1
            if not self._keep:
                return None
        subscore = _integer(record, "subscore")
        return ForeignScore(
            board=values.text(record.get("leaderboard_id"), "leaderboard_id"),
            player=values.text(record.get("owner_id"), "owner_id"),
            score=_integer(record, "score"),
            # One that is not given is 0, so a board whose records have none needs no such tiebreak.
            tiebreaks={"subscore": subscore} if subscore else {},
            achieved_ms=_instant(record, "update_time"),
            metadata=_metadata(record.get("metadata")),
            display_name=values.text(record["username"], "username") if record.get("username") else None,
            line=line,
        )


def _records_in(item: object) -> list[object]:
    """The item itself if it is a record, or the records that it lists, if any are left in it."""
    members = _in_snake_case(item)
    if "leaderboard_id" in members:
        return [item]
    if members.get("owner_records"):
        raise WrongValue("owner_records repeat records; list the records without naming owners")
    if not (members.keys() & set(_LISTS) or members.keys() <= _BESIDE_LISTS):
        raise WrongValue("neither a record (which has a leaderboard_id) nor a list of records")
    listed = [members[name] for name in _LISTS if members.get(name) is not None]
    if not all(isinstance(records, list) for records in listed):
        raise WrongValue("records is not an array")
    return list(chain(*listed))


def _in_snake_case(item: object) -> dict[str, Any]:
    """The members of an object, some of which scripts within Nakama name in camel case."""
    if not isinstance(item, dict):
        raise WrongValue("not a JSON object")
    return {re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name): value for name, value in item.items()}


def _is_unscored(record: Mapping[str, Any]) -> bool:
    if record.get("num_score") is None:
        # The API leaves out a 0. It never leaves out max_num_score, so a record without either was not made by it.
        return "max_num_score" in record
    return _integer(record, "num_score") == 0


def _board(row: Mapping[str, str | None]) -> ForeignBoard:
    order = _ORDERS.get(row.get("sort_order") or "")
    operator = row.get("operator") or ""
    if order is None:
        raise WrongValue("sort_order is neither 0 nor 1")
    if operator not in _POLICIES:
        raise WrongValue("operator is none of 0, 1, 2 and 3")
    return ForeignBoard(
        board=values.text(row.get("id"), "id"),
        order=order,
        policy=_POLICIES[operator],
        decimals=0,
        tiebreaks=(Tiebreak("subscore", order),),
        title=row.get("title") or "",
        reset_schedule=row.get("reset_schedule") or None,
    )


def _integer(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    if value is None:
        return 0
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value):
            raise WrongValue(f"{name} {values.shown(value)} is not an integer")
        value = int(value)
    return values.integer(value, name)


def _instant(record: Mapping[str, Any], name: str) -> int | None:
    """RFC 3339, PostgreSQL's ISO style, or whole seconds since 1970; None where there is none."""
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        at_ms = value * 1000
    elif isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            at_ms = periods.to_ms(datetime.fromisoformat(value))
        except ValueError as error:
            raise WrongValue(f"{name}: there is no such instant") from error
    else:
        raise WrongValue(f"{name} is not an instant")
    return values.in_calendar(at_ms, name)


def _metadata(value: object) -> bytes:
    """Nakama's own form is a text that is JSON, `{}` for none."""
    if isinstance(value, str):
        value = values.parsed(value.encode()) if value else None
    return values.metadata(value) if value or not isinstance(value, dict | None) else b""
