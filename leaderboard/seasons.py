"""Occurrences of a board's periods: which one is meant, when it began, whether it is over; and resetting seasons."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from leaderboard import periods
from leaderboard.boards import Snapshot, StaleError
from leaderboard.errors import Problem, invalid
from leaderboard.idempotency import ANSWER_KEPT_MS, IdempotentCall
from leaderboard.model import DAY_MS, Board, Occurrence, Period, PeriodKind, PeriodState

if TYPE_CHECKING:
    from leaderboard.audit import Act
    from leaderboard.installation import Installation


def current_occurrence(snapshot: Snapshot, period: Period, at_ms: int) -> Occurrence:
    """The occurrence a score achieved at an instant counts in: for seasons, the running one."""
    if period.kind is PeriodKind.SEASON:
        return Occurrence(PeriodKind.SEASON, f"s{snapshot.season}", snapshot.season_started_ms, None)
    if period.kind is PeriodKind.ALLTIME:
        return periods.ALLTIME
    return periods.occurrence_at(period, at_ms)


def find_occurrence(
    lb: Installation, snapshot: Snapshot, kind: PeriodKind | None, period_id: str | None, now_ms: int
) -> tuple[Period, Occurrence]:
    """The occurrence that `period` and `period_id` name: an id, `current` (also when left out) or `previous`.

    Raises 422 for an id of another form, period_not_found for one that is not there yet (or never was), period_gone
    for one that is no longer kept.
    """
    board = snapshot.board
    named = period_id if period_id not in (None, "current", "previous") else None
    if named is not None:
        kind_of_id = periods.kind_of(named)
        if kind_of_id is None or kind not in (None, kind_of_id):
            raise invalid("?period_id", "period_id", "not an id of this period, nor current or previous")
        kind = kind_of_id
    kind = kind or board.default_period
    period = board.period(kind)
    if period is None:
        raise Problem("period_not_found", f"the board has no period {kind.value!r}")
    if named is None and period_id != "previous":
        return period, current_occurrence(snapshot, period, now_ms)
    if kind is PeriodKind.ALLTIME:
        if period_id == "previous":
            raise Problem("period_not_found", "alltime has no previous period")
        return period, periods.ALLTIME
    if kind is PeriodKind.SEASON:
        occurrence = _season(lb, snapshot, int(named[1:]) if named else snapshot.season - 1)
    else:
        current = periods.occurrence_at(period, now_ms)
        wanted = periods.occurrence_named(period, named) if named else periods.previous(period, current)
        if wanted is None or (wanted.starts_ms or 0) > now_ms:
            raise Problem("period_not_found", "that period does not exist, or has not begun")
        occurrence = wanted
    if (
        occurrence.ends_ms is not None
        and occurrence.ends_ms <= now_ms
        and _is_gone(lb, board, period, occurrence, now_ms)
    ):
        raise Problem("period_gone")
    return period, occurrence


def _is_gone(lb: Installation, board: Board, period: Period, occurrence: Occurrence, now_ms: int) -> bool:
    """Have its keys expired? Standings keep the expiry of their first entry, whatever the definition says by now."""
    kept = lb.store.read(("ZSCORE", lb.keys.kept(board.id), occurrence.id))[0]
    expires_ms = expires_at(period, occurrence) if kept is None else float(kept)
    return expires_ms is not None and expires_ms <= now_ms


def _season(lb: Installation, snapshot: Snapshot, number: int) -> Occurrence:
    if number == snapshot.season:
        return Occurrence(PeriodKind.SEASON, f"s{number}", snapshot.season_started_ms, None)
    started, ended = lb.store.read(("HMGET", lb.keys.seasons(snapshot.board.id), number, number + 1))[0]
    if started is None:
        raise Problem("period_not_found", "there is no such season")
    return Occurrence(PeriodKind.SEASON, f"s{number}", int(started), int(ended) if ended else None)


def expires_at(period: Period, occurrence: Occurrence) -> int | None:
    """When the keys of its standings go, in ms; None for never."""
    if period.keep_days is None or occurrence.ends_ms is None:
        return None
    return occurrence.ends_ms + period.keep_days * DAY_MS


def state_at(period: Period, occurrence: Occurrence, now_ms: int) -> PeriodState:
    if occurrence.ends_ms is None or now_ms < occurrence.ends_ms:
        return PeriodState.OPEN
    if period.final_ms < occurrence.ends_ms and now_ms < occurrence.ends_ms + period.settle_delay_s * 1000:
        return PeriodState.CLOSING
    return PeriodState.SETTLED


def settled_among(lb: Installation, snapshot: Snapshot, period_ids: Collection[str], now_ms: int) -> set[str]:
    """Those of a board's standings that are final."""
    states = states_of(lb, snapshot, period_ids, now_ms)
    return {period_id for period_id, state in states.items() if state is PeriodState.SETTLED}


def states_of(lb: Installation, snapshot: Snapshot, period_ids: Collection[str], now_ms: int) -> dict[str, PeriodState]:
    """How it is with each of a board's standings. A kind that the board has no more goes on as it was."""
    flat = lb.store.read(("HGETALL", lb.keys.seasons(snapshot.board.id)))[0]
    started = {int(number): int(at) for number, at in zip(flat[::2], flat[1::2], strict=True)}
    states = {}
    for period_id in period_ids:
        kind = periods.kind_of(period_id)
        period = (snapshot.board.period(kind) or snapshot.former.get(kind)) if kind else None
        if kind is PeriodKind.SEASON:
            number = int(period_id[1:])
            occurrence = Occurrence(kind, period_id, started.get(number), started.get(number + 1))
            period = period or Period(kind)
        elif kind is PeriodKind.ALLTIME:
            period, occurrence = period or Period(kind), periods.ALLTIME
        else:
            named = periods.occurrence_named(period, period_id) if period else None
            if period is None or named is None:
                # Nothing says when it ends: it came by an import.
                states[period_id] = PeriodState.SETTLED
                continue
            occurrence = named
        states[period_id] = state_at(period, occurrence, now_ms)
    return states


def list_occurrences(
    lb: Installation, snapshot: Snapshot, kind: PeriodKind, now_ms: int
) -> list[tuple[Occurrence, PeriodState, int]]:
    """The occurrences that are kept, newest first, with their states and how many entries each has.

    Raises period_not_found, and StaleError: call it within `BoardCache.use`.
    """
    board = snapshot.board
    period = board.period(kind)
    if period is None:
        raise Problem("period_not_found", f"the board has no period {kind.value!r}")
    found = {(occurrence := current_occurrence(snapshot, period, now_ms)).id: occurrence}
    gate, seasons, begun = lb.store.read(
        ("HMGET", lb.keys.gate(board.id), "revision", "season"),
        ("HGETALL", lb.keys.seasons(board.id)),
        ("ZRANGE", lb.keys.kept(board.id), 0, -1, "WITHSCORES"),
    )
    if gate != [str(board.revision).encode(), str(snapshot.season).encode()]:
        raise StaleError
    expires = {period_id.decode(): float(at) for period_id, at in zip(begun[::2], begun[1::2], strict=True)}
    if kind is PeriodKind.SEASON:
        started = {int(number): int(at) for number, at in zip(seasons[::2], seasons[1::2], strict=True)}
        for number, at in started.items():
            found[f"s{number}"] = Occurrence(kind, f"s{number}", at, started.get(number + 1))
    elif kind is not PeriodKind.ALLTIME:
        of_kind = [period_id for period_id in expires if periods.kind_of(period_id) is kind]
        found |= {named.id: named for named in (periods.occurrence_named(period, id_) for id_ in of_kind) if named}
    kept = [
        occurrence
        for occurrence in found.values()
        if expires.get(occurrence.id, expires_at(period, occurrence) or now_ms + 1) > now_ms
    ]
    kept.sort(key=lambda occurrence: occurrence.starts_ms or 0, reverse=True)
    totals = lb.store.read(*(("ZCARD", lb.keys.standings(board.id, o.id).order) for o in kept))
    return [(o, state_at(period, o, now_ms), total) for o, total in zip(kept, totals, strict=True)]


@dataclass(frozen=True, slots=True)
class Reset:
    board: str
    closed: str
    opened: str
    at_ms: int
    replayed: bool = False


def reset_season(lb: Installation, board_id: str, season: int, call: IdempotentCall | None, act: Act | None) -> Reset:
    """Close a season and open the next, in one step for every player. `act` is None for a part of one, which does it
    also while the board has no seasons.

    Raises season_not_current (with the current one), no_season, board_not_found, idempotency_key_reused.
    """
    return lb.boards.use(board_id, lambda snapshot: _reset(lb, snapshot.board, season, call, act))


def _reset(lb: Installation, board: Board, season: int, call: IdempotentCall | None, act: Act | None) -> Reset:
    board_id, period = board.id, board.period(PeriodKind.SEASON)
    now = lb.clock.now_ms()
    expires = "" if period is None or period.keep_days is None else now + period.keep_days * DAY_MS
    answer = Reset(board_id, f"s{season}", f"s{season + 1}", now)
    kept = b"" if call is None else call.body_digest + orjson.dumps([answer.closed, answer.opened, now])
    reply = lb.store.change(
        "reset",
        [
            lb.keys.gate(board_id),
            lb.keys.seasons(board_id),
            lb.keys.answer(call.key_digest.hex() if call else "none"),
            lb.keys.kept(board_id),
            *lb.keys.standings(board_id, f"s{season}"),
        ],
        [
            season,
            season + 1,
            now,
            expires,
            kept,
            ANSWER_KEPT_MS,
            board.revision,
            "" if period or act is None else "look",
            board_id,
        ],
        act.on(board=board_id, before={"season": answer.closed}, after={"season": answer.opened}) if act else b"",
    )
    match reply[0]:
        case b"stale":
            raise StaleError
        case b"nothing":
            raise Problem("no_season")
        case b"reset":
            lb.boards.forget(board_id)
            return answer
        case b"repeat":
            assert call is not None  # noqa: S101  only a call with a key is remembered
            if not reply[1].startswith(call.body_digest):
                raise Problem("idempotency_key_reused")
            closed, opened, at_ms = orjson.loads(reply[1][len(call.body_digest) :])
            return Reset(board_id, closed, opened, at_ms, replayed=True)
        case b"not_current":
            raise Problem(
                "season_not_current",
                f"the current season is s{reply[1].decode()}",
                extra={"season": f"s{reply[1].decode()}"},
            )
    raise Problem("board_not_found")
