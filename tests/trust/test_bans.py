"""Bans: what each kind hides, from whom, and that everything comes back."""

from __future__ import annotations

import redis

from tests.client import Client


def test_a_banned_player_is_gone_from_open_standings_and_comes_back_as_it_was(api: Client, raw: redis.Redis) -> None:
    api.define("main")
    for player, score in (("alice", 30), ("bob", 20), ("carol", 10)):
        api.submit(player, score)
    alice = api.player("alice")
    made = api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "cheated"})
    assert made["kind"] == "ban"
    assert api.table() == [(1, "bob", 20), (2, "carol", 10)]
    alice.get("/v1/players/me", expect=403)
    api.submit("alice", 50, expect=403)
    api.admin.delete("/v1/admin/players/alice/ban?reason=mistake")
    assert api.table() == [(1, "alice", 30), (2, "bob", 20), (3, "carol", 10)]
    alice.get("/v1/players/me")
