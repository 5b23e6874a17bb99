"""Answers as plain data. Long lists are built here by hand: marshmallow takes ten times as long to dump them.

`api/answers.py` documents the same shapes, and the tests hold every answer against it.
"""

from __future__ import annotations

from typing import Any

import orjson

from leaderboard.api.fields import show_instant
from leaderboard.attached import detach
from leaderboard.audit import KeptAct
from leaderboard.bans import Ban
from leaderboard.boards import Snapshot
from leaderboard.definitions import to_definition
from leaderboard.held import Held
from leaderboard.model import Board, Entry, Occurrence, PeriodState, PlayerName
from leaderboard.players import Profile
from leaderboard.privacy import KeptSubmission, PlayerData
from leaderboard.rules import read_layout
from leaderboard.scores import unscale
from leaderboard.seasons import current_occurrence
from leaderboard.submission import Result, Standing

#: Of an entry that is exported: there is no rank to it, and whose it is goes without saying.
_NOT_EXPORTED = ("rank", "player")


def show_name(name: PlayerName) -> dict[str, Any]:
    return {
        "id": name.id,
        "display_name": name.display_name,
        "avatar_url": name.avatar_url,
        "country": name.country,
    }


def show_entry(board: Board, entry: Entry) -> dict[str, Any]:
    attached = detach(entry.metadata)
    shown: dict[str, Any] = {
        "rank": entry.rank,
        "player": show_name(entry.player),
        "score": unscale(entry.score, board.decimals),
        "tiebreaks": {tiebreak.name: value for tiebreak, value in zip(board.tiebreaks, entry.tiebreaks, strict=True)},
        "metadata": orjson.loads(attached.metadata) if attached.metadata else None,
        "achieved_at": show_instant(entry.achieved_ms),
    }
    if board.show_replays:
        shown["replay"] = attached.replay_ref
    return shown


def show_attached(kept: bytes) -> dict[str, Any]:
    """What came with a submission, for those who see all of it."""
    metadata, replay_ref = detach(kept)
    return {"metadata": orjson.loads(metadata) if metadata else None, "replay": replay_ref}


def show_place(board: Board, occurrence: Occurrence) -> dict[str, Any]:
    """Which standings an answer is about."""
    return {"board": board.id, "period": occurrence.kind.value, "period_id": occurrence.id, "segment": None}


def show_found(board: Board, occurrence: Occurrence, entry: Entry, total: int, percentile: float) -> dict[str, Any]:
    return show_place(board, occurrence) | {
        "entry": show_entry(board, entry),
        "total": total,
        "percentile": percentile,
    }


def show_bounds(occurrence: Occurrence, state: PeriodState) -> dict[str, Any]:
    return {
        "starts_at": show_instant(occurrence.starts_ms),
        "ends_at": show_instant(occurrence.ends_ms),
        "state": state.value,
    }


def show_result(result: Result, ranks: bool) -> dict[str, Any]:
    return {
        "board": result.board.id,
        "player": result.player,
        "outcome": result.outcome.value,
        "standings": [show_standing(result.board, standing, ranks) for standing in result.standings],
    }


def show_standing(board: Board, standing: Standing, ranks: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "period": standing.occurrence.kind.value,
        "period_id": standing.occurrence.id,
        "segment": None,
        "score": unscale(standing.score, board.decimals),
        "changed": standing.changed,
        "ends_at": show_instant(standing.occurrence.ends_ms),
    }
    if ranks:
        shown["rank"] = standing.rank
        shown["previous_rank"] = standing.previous_rank
    return shown


def show_board(snapshot: Snapshot, now_ms: int, *, rules: bool) -> dict[str, Any]:
    """A definition with the current occurrence of each of its periods. `rules` are for admins."""
    board = snapshot.board
    shown = {"id": board.id} | to_definition(board)
    if not rules:
        del shown["rules"]
    shown["current"] = [
        {
            "period": occurrence.kind.value,
            "period_id": occurrence.id,
            "starts_at": show_instant(occurrence.starts_ms),
            "ends_at": show_instant(occurrence.ends_ms),
        }
        for period in board.periods
        for occurrence in [current_occurrence(snapshot, period, now_ms)]
    ]
    return shown


def show_act(act: KeptAct) -> dict[str, Any]:
    return _show_what(act) | {
        "id": act.id,
        "actor": _show_actor(act),
        "player": act.player,
        "key": act.key,
        "request_id": act.request_id,
    }


def show_revision(act: KeptAct) -> dict[str, Any]:
    """Of an act that defined a board."""
    definition = act.after or {}
    return {
        "revision": definition.get("revision"),
        "at": show_instant(act.at_ms),
        "actor": _show_actor(act),
        "definition": definition,
    }


def _show_actor(act: KeptAct) -> dict[str, Any]:
    return {"id": act.actor, "name": act.name, "role": act.role}


def _show_what(act: KeptAct) -> dict[str, Any]:
    return {
        "at": show_instant(act.at_ms),
        "operation": act.operation,
        "board": act.board,
        "period_id": act.period_id,
        "reason": act.reason,
        "before": _show_state(act.before),
        "after": _show_state(act.after),
    }


def _show_state(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """Instants as they are shown elsewhere."""
    if state is None:
        return None
    return {
        f"{name[:-3]}_at" if name.endswith("_ms") else name: show_instant(value) if name.endswith("_ms") else value
        for name, value in state.items()
    }


def show_export(data: PlayerData) -> dict[str, Any]:
    return {
        "player": show_profile(data.profile, private=True),
        "exported_at": show_instant(data.at_ms),
        "device_hashes": data.devices,
        "merged": data.merged,
        "ban": show_ban(data.ban) if data.ban else None,
        "sessions": [{"expires_at": show_instant(at_ms)} for at_ms in data.sessions_ms],
        "friends": [
            {"player": friend.player, "state": friend.state, "since": show_instant(friend.since_ms), "by": friend.by}
            for friend in data.friends
        ],
        "entries": [
            {"board": kept.board.id, "period_id": kept.period_id, "submissions": kept.submissions}
            | {name: value for name, value in show_entry(kept.board, kept.entry).items() if name not in _NOT_EXPORTED}
            | show_attached(kept.entry.metadata)
            for kept in data.entries
        ],
        "submissions": [show_kept(kept) for kept in data.submissions],
        "reviews": [
            {
                "id": kept.id,
                "board": kept.board,
                "at": show_instant(kept.at_ms),
                "state": kept.state,
                "rules": kept.rules,
                **show_held(kept.held),
            }
            for kept in data.reviews
        ],
        "attempts": [
            {
                "attempt": kept.id,
                "board": kept.board,
                "seed": kept.seed,
                "opened_at": show_instant(kept.opened_ms),
                "expires_at": show_instant(kept.expires_ms),
            }
            for kept in data.attempts
        ],
        "attempts_opened": [
            {"board": kept.board, "since": show_instant(kept.since_ms), "opened": kept.opened}
            for kept in data.attempts_opened
        ],
        "acts": [_show_what(act) for act in data.acts],
    }


def show_kept(kept: KeptSubmission) -> dict[str, Any]:
    """A submission as the archive has it."""
    return {
        "at": show_instant(kept.at_ms),
        "board": kept.board,
        "kind": kept.kind,
        "score": unscale(kept.score, kept.decimals),
        "tiebreaks": kept.tiebreaks,
        "achieved_at": show_instant(kept.achieved_ms),
        **show_attached(kept.metadata),
    }


def show_held(held: Held) -> dict[str, Any]:
    """A held submission as it was submitted."""
    layout = read_layout(held.layout)
    return {
        "score": unscale(held.score * layout.order.sign, layout.decimals),
        "tiebreaks": layout.named(held.tiebreaks),
        **show_attached(held.metadata),
        "achieved_at": show_instant(held.achieved_ms),
    }


def show_ban(ban: Ban) -> dict[str, Any]:
    return {
        "player": ban.player,
        "kind": ban.kind.value,
        "reason": ban.reason,
        "author": ban.author,
        "created_at": show_instant(ban.created_ms),
        "ends_at": show_instant(ban.ends_ms),
    }


def show_profile(profile: Profile, *, private: bool) -> dict[str, Any]:
    shown = show_name(profile.name)
    if private:
        shown |= {
            "platform": profile.platform,
            "attributes": profile.attributes,
            "identities": [
                {"provider": provider, "subject": subject} for provider, subject in sorted(profile.identities.items())
            ],
            "submissions": profile.submissions,
            "created_at": show_instant(profile.created_ms),
        }
    return shown
