"""Examples for the OpenAPI document, by schema name. The tests hold them against the schemas."""

from __future__ import annotations

from typing import Any

_PLAYER = {"id": "alice", "display_name": "Alice", "avatar_url": None, "country": "de"}
_ENTRY = {
    "rank": 1,
    "player": _PLAYER,
    "score": 1200,
    "tiebreaks": {},
    "metadata": {"level": 7},
    "achieved_at": "2026-11-22T18:00:00.000Z",
}
_PLACE = {"board": "main", "period": "weekly", "period_id": "2026-W47", "segment": None}
_BOUNDS = {
    "starts_at": "2026-11-16T00:00:00.000Z",
    "ends_at": "2026-11-23T00:00:00.000Z",
    "state": "open",
    "total": 1,
}
_STANDING = {
    "period": "weekly",
    "period_id": "2026-W47",
    "segment": None,
    "rank": 1,
    "previous_rank": 4,
    "score": 1200,
    "changed": True,
    "ends_at": "2026-11-23T00:00:00.000Z",
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "BoardInput": {
        "title": "Main",
        "policy": "best",
        "periods": [{"kind": "season"}, {"kind": "weekly", "weekday": "monday", "keep_days": 28}],
        "tiebreaks": [{"name": "wins", "order": "desc"}],
        "rules": {"rate": {"burst": 10, "per_s": 1}},
    },
    "SubmissionInput": {"score": 1200, "player": "alice", "metadata": {"level": 7}},
    "BatchInput": {
        "submissions": [
            {"board": "main", "player": "alice", "score": 1200},
            {"board": "main", "player": "bob", "score": 900},
        ]
    },
    "SignInInput": {"device_id": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d", "display_name": "Alice"},
    "ProfileInput": {"display_name": "Alice", "country": "de", "attributes": {"clan": "owls"}},
    "IdentityInput": {"subject": "76561197960287930"},
    "LinkInput": {"players": ["bob", "carol"]},
    "LookupInput": {"players": ["alice", "bob"]},
    "ResetInput": {"season": "s3"},
    "CorrectionInput": {"score": 1100, "reason": "counted twice"},
    "KeyInput": {"name": "match server", "role": "server"},
    "MaintenanceInput": {"reason": "moving house"},
    "Submission": {"board": "main", "player": "alice", "outcome": "applied", "standings": [_STANDING]},
    "Batch": {
        "applied": 1,
        "kept": 0,
        "held": 0,
        "failed": 0,
        "results": [{"index": 0, "outcome": "applied", "standings": [_STANDING], "error": None}],
    },
    "Standings": _PLACE | _BOUNDS | {"entries": [_ENTRY], "next_cursor": None, "prev_cursor": None},
    "FriendsStandings": _PLACE
    | _BOUNDS
    | {"entries": [_ENTRY | {"board_rank": 12}], "next_cursor": None, "prev_cursor": None},
    "OneEntry": _PLACE | {"entry": _ENTRY, "total": 1, "percentile": 100},
    "Lookup": _PLACE | {"total": 1, "entries": [_ENTRY], "not_found": ["bob"]},
    "Distribution": _PLACE | {"total": 1, "buckets": [{"low": 1200, "high": 1200, "count": 1}]},
    "Reset": {"board": "main", "closed": "s3", "opened": "s4", "at": "2026-11-22T18:00:00.000Z"},
    "Session": {
        "token": "lb1.alice.nZ3Yk0Vb",
        "signing_key": "6d0f5a0c1be2f7a3c4d85e96b7081f2a3b4c5d6e7f8091a2b3c4d5e6f708192a",
        "player": _PLAYER,
        "expires_at": "2026-12-22T18:00:00.000Z",
        "created": False,
    },
}
