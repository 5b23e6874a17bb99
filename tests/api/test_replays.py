"""References to replays: what may be one, who sees it, and that it stands and falls with its submission."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard.worker.drain import Drain
from tests.calls import SUBMISSIONS, refused, send, submission, unchanged
from tests.client import Client

URL = "https://replays.example/été/1?a=b&c=%0A#🚗"
ENTRY = "/v1/admin/boards/main/entries/alice"
UNLIMITED: dict[str, Any] = {"rate": None}


@pytest.fixture
def archive(app: Flask) -> Callable[[], None]:
    drain = Drain(app.extensions["leaderboard"])

    def archive() -> None:
        while drain.step():
            pass

    return archive


def shown(api: Client, player: str = "alice") -> tuple[Any, Any]:
    """The metadata and the replay of an entry."""
    entry = api.get(f"/v1/boards/main/standings/{player}")["entry"]
    return entry["metadata"], entry.get("replay", "absent")


def test_entries_show_it_where_the_board_says_so_and_not_elsewhere(api: Client) -> None:
    api.define("main", show_replays=True)
    api.submit("alice", 5, replay=URL)
    api.submit("bob", 4)
    bob = api.player("bob")
    api.server.put("/v1/players/bob/friends", {"players": ["alice"]})

    def everywhere() -> list[dict[str, Any]]:
        return [
            api.get("/v1/boards/main/standings")["entries"][0],
            api.get("/v1/boards/main/standings/alice")["entry"],
            api.get("/v1/boards/main/standings/bob/around")["entries"][0],
            bob.get("/v1/boards/main/standings/me/friends")["entries"][0],
            api.post("/v1/boards/main/lookup", {"players": ["alice"]})["entries"][0],
            api.get("/v1/players/alice/entries")["entries"][0]["entry"],
        ]

    assert [entry["replay"] for entry in everywhere()] == [URL] * 6
    assert api.get("/v1/boards/main/standings")["entries"][1]["replay"] is None
    assert api.get("/v1/boards/main")["show_replays"] is True
    api.define("main")
    assert not [entry for entry in everywhere() if "replay" in entry]
    # Nor to a server or an admin: an answer that is handed on must not depend on who asked.
    assert "replay" not in api.admin.get("/v1/boards/main/standings/alice")["entry"]
    assert api.get("/v1/boards/main")["show_replays"] is False


@pytest.mark.parametrize(
    "reference", ["x", " ", "a b", "é" * 256, "a" * 512, "🚗" * 128, '{"json": 1}', "\\n", "javascript:alert(1)", URL]
)
@pytest.mark.parametrize("metadata", [None, {}, {"text": "two\nlines"}, {"n": 1}])
def test_what_is_sent_is_what_is_shown(api: Client, reference: str, metadata: Any) -> None:
    api.define("main", show_replays=True)
    more = {} if metadata is None else {"metadata": metadata}
    api.submit("alice", 5, replay=reference, **more)
    assert shown(api) == (metadata, reference)


@pytest.mark.parametrize(
    "reference",
    ['""', '"a\\nb"', '"\\t"', '"\\u0000"', '"\\u007f"', '"\\u0085"', '"a\\r"', "1", "null", "true", "[]", "{}",
     json.dumps("a" * 513), json.dumps("é" * 257), json.dumps("🚗" * 129)],
)  # fmt: skip
def test_what_is_no_reference_is_refused(api: Client, raw: redis.Redis, reference: str) -> None:
    api.define("main")
    with unchanged(raw):
        answer = send(api, "POST", SUBMISSIONS, submission(replay=reference))
    assert answer.status_code in (400, 422), answer.text
    with unchanged(raw):
        refused(send(api, "POST", SUBMISSIONS, submission(replay='"\\ud800"')), 400, "malformed_json")


@pytest.mark.parametrize(("policy", "kept"), [("best", "second"), ("latest", "third"), ("sum", "third")])
def test_it_stands_and_falls_with_the_submission_that_is_kept(api: Client, policy: str, kept: str) -> None:
    api.define("main", policy=policy, show_replays=True, rules=UNLIMITED)
    for score, name in ((5, "first"), (9, "second"), (7, "third")):
        api.submit("alice", score, replay=name, metadata={"of": name})
    assert shown(api) == ({"of": kept}, kept)
    # One without takes none over from the one before.
    api.submit("alice", 99)
    assert shown(api) == (None, None)


def test_another_reference_is_another_body(api: Client) -> None:
    api.define("main")
    api.submit("alice", 5, replay="a", key="k")
    assert api.submit("alice", 5, replay="b", key="k", expect=422)["code"] == "idempotency_key_reused"


def test_items_of_a_batch_have_their_own(api: Client) -> None:
    api.define("main", show_replays=True)
    items = [{"board": "main", "player": player, "score": 1, "replay": f"of {player}"} for player in ("alice", "bob")]
    items.append({"board": "main", "player": "carol", "score": 1, "replay": "\n"})
    answer = api.server.post("/v1/submissions/batch", {"submissions": items})
    assert [result["error"] and result["error"]["code"] for result in answer["results"]] == [None, None, "invalid"]
    assert [shown(api, player)[1] for player in ("alice", "bob")] == ["of alice", "of bob"]


def test_reviews_show_it_and_what_is_approved_keeps_it(api: Client, archive: Callable[[], None]) -> None:
    api.define(
        "main", show_replays=True, rules=UNLIMITED | {"max_score": {"value": 10, "then": "hold", "servers": True}}
    )
    api.submit("alice", 5, replay="an honest one", metadata={"n": 1})
    api.submit("alice", 99, replay=URL, metadata={"n": 2})
    archive()
    (review,) = api.admin.get("/v1/admin/reviews")["reviews"]
    assert (review["metadata"], review["replay"]) == ({"n": 2}, URL)
    one = api.admin.get(f"/v1/admin/reviews/{review['id']}")
    assert [each["replay"] for each in one["history"]] == [URL, "an honest one"]
    assert shown(api) == ({"n": 1}, "an honest one")
    api.admin.post(f"/v1/admin/reviews/{review['id']}/decision", {"decision": "approve"})
    assert shown(api) == ({"n": 2}, URL)


def test_the_player_gets_it_whatever_the_board_shows(api: Client, archive: Callable[[], None]) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("alice", 5, replay=URL)
    alice = api.player("alice")
    archive()
    data = alice.get("/v1/players/me/export")
    assert [each["replay"] for each in (*data["entries"], *data["submissions"])] == [URL, URL]


def test_an_entry_is_put_back_with_it(api: Client, raw: redis.Redis, archive: Callable[[], None]) -> None:
    api.define("main", show_replays=True)
    api.submit("alice", 5, replay=URL, metadata={"n": 1})
    before = raw.hgetall("lb:{0}:entries:main:s1")
    api.admin.delete(f"{ENTRY}?reason=a mistake")
    archive()
    act = api.admin.get("/v1/admin/audit?limit=1")["acts"][0]
    assert act["before"]["replay"] == URL
    answer = api.admin.put(ENTRY, act["before"] | {"reason": "taken back"})
    assert answer["entry"]["replay"] == URL
    assert raw.hgetall("lb:{0}:entries:main:s1") == before


def test_a_correction_sets_it(api: Client) -> None:
    api.define("main", show_replays=True)
    api.submit("alice", 5, replay="first")
    api.admin.put(ENTRY, {"score": 4, "reason": "x", "replay": "second", "metadata": {"n": 2}})
    assert shown(api) == ({"n": 2}, "second")
    refused(api.admin.call("PUT", ENTRY, {"score": 4, "reason": "x", "replay": "a\nb"}), 422, "invalid")
    api.admin.put(ENTRY, {"score": 4, "reason": "x", "replay": None})
    assert shown(api) == (None, None)


def test_an_erasure_takes_it_out_of_what_stays_nameless(
    api: Client, raw: redis.Redis, archive: Callable[[], None]
) -> None:
    api.define("main", show_replays=True, periods=[{"kind": "season", "settle_delay_s": 0}], late_s=0)
    api.submit("alice", 5, replay=URL)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    api.server.delete("/v1/players/alice")
    archive()
    (entry,) = api.get("/v1/boards/main/standings?period_id=s1")["entries"]
    assert (entry["player"]["display_name"], entry["replay"]) == (None, None)
    assert not [value for value in raw.hvals("lb:{0}:entries:main:s1") if URL.encode() in value]


@pytest.mark.parametrize("value", [1, "true", None, "yes"])
def test_whether_it_is_shown_is_true_or_false(api: Client, value: Any) -> None:
    refused(api.admin.call("PUT", "/v1/admin/boards/main", {"show_replays": value}), 422, "invalid")
