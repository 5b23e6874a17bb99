"""Merging two accounts of one player: what becomes of entries, and where the old id leads."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import requests
from flask import Flask
from werkzeug.serving import make_server

from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.rebuild import rebuild
from leaderboard.rebuild.archive import fill_archive
from leaderboard.worker.drain import Drain
from tests.calls import STANDINGS, SUBMISSIONS, refused, unchanged
from tests.client import SERVER_KEY, Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store, assert_same, every_key, lasting
from tests.oracle import show_instant

MERGE = "/v1/players/old/merge"

PERIODS = [
    {"kind": "season", "keep_days": 30, "settle_delay_s": 86_400},
    {"kind": "weekly", "settle_delay_s": 0},
    {"kind": "alltime"},
]


@pytest.fixture
def lb(app: Flask) -> Installation:
    installation: Installation = app.extensions["leaderboard"]
    return installation


@pytest.fixture
def drain(lb: Installation) -> Drain:
    return Drain(lb)


def merge(api: Client, old: str = "old", into: str = "new", *, expect: int = 200) -> Any:
    return api.server.post(f"/v1/players/{old}/merge", {"into": into}, expect=expect)


def drained(drain: Drain) -> None:
    while drain.step():
        pass


def held(raw: redis.Redis, clock: SetClock) -> dict[str, Any]:
    """All that lasts, without the mark of the merge."""
    keys = lasting(every_key(raw), clock.now_ms())
    for key in ("lb:{0}:player:old", "lb:{0}:journal", "lb:{0}:replay:old"):
        keys.pop(key, None)
    keys["lb:{0}:player:new"].value.pop(b"merged", None)
    return keys


# -- as if it had been one from the beginning -------------------------------------------------------------------------

#: Who submits what, in turn: score, wins, by how many ms it is later than the one before.
STORIES = {
    "old is better": [("old", 9, 1, 1), ("new", 5, 0, 1), ("old", 2, 0, 1)],
    "new is better": [("new", 9, 1, 1), ("old", 5, 0, 1), ("new", 2, 0, 1)],
    "the same result": [("old", 5, 1, 1), ("new", 5, 1, 1)],
    "the same result, new first": [("new", 5, 1, 1), ("old", 5, 1, 1)],
    "others have it too": [("p1", 5, 1, 1), ("old", 5, 1, 1), ("new", 7, 0, 1), ("p2", 7, 0, 1)],
    "old alone": [("old", 5, 1, 1), ("p1", 5, 1, 1)],
    "new alone": [("new", 5, 1, 1)],
    "in turns": [("old", 1, 1, 1), ("new", 2, 0, 1), ("old", 3, 1, 1), ("new", 4, 0, 1), ("old", 2, 1, 1)],
}


def play(
    api: Client, clock: SetClock, story: list[tuple[str, int, int, int]], ids: dict[str, str], **board: Any
) -> None:
    api.define("main", **{"periods": PERIODS, "tiebreaks": [{"name": "wins"}]} | board)
    for player in ("old", "new", "p1", "p2"):
        if ids.get(player, player) == player:
            api.server.put(f"/v1/players/{player}", {"display_name": player}, expect=201)
    for season in (1, 2):
        for n, (player, score, wins, later_ms) in enumerate(story):
            clock.pass_ms(later_ms)
            api.submit(ids.get(player, player), score, tiebreaks={"wins": wins}, metadata={"n": n})
        if season == 1:
            clock.pass_ms(1)
            api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})


@pytest.mark.parametrize("ties", ["ordinal", "dense"])
@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
def test_after_a_merge_all_is_as_if_one_player_had_done_both(
    api: Client, raw: redis.Redis, lb: Installation, clock: SetClock, policy: str, ties: str
) -> None:
    began_ms = clock.at_ms
    for name, story in STORIES.items():
        found = []
        for ids in ({}, {"old": "new"}):
            clock.at_ms = began_ms
            for key in raw.scan_iter("lb:*"):
                if not key.endswith((b":store", b":journal")):
                    raw.delete(key)
            lb.boards.forget("main")
            play(api, clock, story, ids, policy=policy, ties=ties)
            if not ids:
                merge(api)
                merge(api)
            found.append(held(raw, clock))
        names = found[0]["lb:{0}:names"].value
        assert names.pop(b"old") == {"display_name": "old"}, name
        assert_same("keys", found[1], found[0])


def test_the_archive_follows_and_each_is_made_from_the_other(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock
) -> None:
    play(api, clock, STORIES["in turns"], {}, policy="sum", ties="dense")
    device = api.post("/v1/sessions", {"device_id": "d" * 32}, expect=201)["player"]["id"]
    for number, player in enumerate(("old", "new", device)):
        api.server.put(f"/v1/players/{player}/identities/p{number}", {"subject": "1"}, expect=201)
    api.server.put("/v1/players/old/friends", {"players": ["p1", device]})
    api.player("p2").put("/v1/players/me/blocks/old", expect=204)
    merge(api, device, "old")
    merge(api)
    drained(drain)
    assert_archive_is_store(lb.archive, raw)
    before = lasting(every_key(raw), clock.now_ms())
    assert raw.hget(f"lb:{{0}}:player:{device}", "state") == b"merged;new"
    drain.finish()
    fill_archive(lb, replacing=True)
    assert_archive_is_store(lb.archive, raw)
    raw.flushdb()
    rebuild(lb)
    assert_same("keys", before, lasting(every_key(raw), clock.now_ms()))
    assert api.table(query="&period=alltime") == [(1, "new", 24)]


# -- what is settled ---------------------------------------------------------------------------------------------------


def test_settled_standings_stay_as_they_are_and_show_both(api: Client, clock: SetClock) -> None:
    api.define("main", periods=[{"kind": "weekly", "settle_delay_s": 3600}, {"kind": "alltime"}])
    for player, score in (("old", 20), ("p1", 10), ("new", 5)):
        api.server.put(f"/v1/players/{player}", {"display_name": player.title()}, expect=201)
        api.submit(player, score)
    clock.pass_ms(8 * DAY_MS)
    settled = api.get(f"{STANDINGS}?period=weekly&period_id=previous")
    merge(api)
    assert api.get(f"{STANDINGS}?period=weekly&period_id=previous") == settled
    assert settled["entries"][0]["player"]["display_name"] == "Old"
    assert api.table(query="&period=alltime") == [(1, "new", 20), (2, "p1", 10)]
    # It is still found there under the id that it had.
    entry = api.get(f"{STANDINGS}/old?period=weekly&period_id=previous")["entry"]
    assert (entry["rank"], entry["player"]["id"]) == (1, "old")


# -- the old id leads to the new one -----------------------------------------------------------------------------------


@pytest.fixture
def merged(api: Client) -> Client:
    api.define("main", periods=[{"kind": "season"}, {"kind": "alltime"}])
    api.submit("old", 20)
    api.submit("new", 10)
    api.submit("p1", 15)
    # Then there is a secret for sessions to sign with.
    api.player("p1")
    merge(api)
    return api


PATHS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/players/{}", None),
    ("PUT", "/v1/players/{}", {"display_name": "Ada"}),
    ("PATCH", "/v1/players/{}", {"display_name": "Ada"}),
    ("DELETE", "/v1/players/{}", None),
    ("POST", "/v1/players/{}/sessions", None),
    ("GET", "/v1/players/{}/export", None),
    ("GET", "/v1/players/{}/entries?limit=5", None),
    ("GET", "/v1/players/{}/friends?state=blocked", None),
    ("PUT", "/v1/players/{}/friends", {"players": ["p1"]}),
    ("PUT", "/v1/players/{}/friends/p1", None),
    ("PUT", "/v1/players/p1/friends/{}", None),
    ("DELETE", "/v1/players/{}/friends/p1", None),
    ("DELETE", "/v1/players/p1/friends/{}", None),
    ("PUT", "/v1/players/p1/blocks/{}", None),
    ("DELETE", "/v1/players/p1/blocks/{}", None),
    ("PUT", "/v1/players/{}/blocks/p1", None),
    ("DELETE", "/v1/players/{}/blocks/p1", None),
    ("PUT", "/v1/players/{}/identities/steam", {"subject": "1"}),
    ("DELETE", "/v1/players/{}/identities/steam", None),
    ("GET", "/v1/boards/main/standings/{}?period=season", None),
    ("GET", "/v1/boards/main/standings/{}/around?limit=3&period=alltime", None),
    ("GET", "/v1/boards/main/standings/{}/friends?limit=3", None),
    ("GET", "/v1/admin/players/{}/ban", None),
    ("PUT", "/v1/admin/players/{}/ban", {"kind": "ban", "reason": "cheated"}),
    ("DELETE", "/v1/admin/players/{}/ban?reason=mistake", None),
    ("PUT", "/v1/admin/boards/main/entries/{}?period=season", {"score": 1, "reason": "checked"}),
    ("DELETE", "/v1/admin/boards/main/entries/{}?reason=cheated&period=season", None),
]


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
def test_a_path_with_the_old_id_answers_308_with_the_same_for_the_new_one(
    merged: Client, raw: redis.Redis, method: str, path: str, body: Any
) -> None:
    with unchanged(raw):
        answer = merged.admin.call(method, path.format("old"), body)
        problem = refused(answer, 308, "player_moved")
    assert answer.headers["Location"] == path.format("new")
    assert problem["into"] == "new"


def test_no_path_that_names_a_player_is_left_out_above(app: Flask) -> None:
    named = {
        (method, re.sub("<player:player>", "{}", rule.rule).replace("<board:board>", "main"))
        for rule in app.url_map.iter_rules()
        if "player" in rule.arguments and rule.endpoint != "merging.merge_player"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    named = {(method, re.sub("<player:other>", "p1", re.sub("<.*provider>", "steam", path))) for method, path in named}
    assert len(named) > 15
    assert named <= {(method, path.partition("?")[0]) for method, path, _ in PATHS}


@pytest.mark.parametrize("name", ["old", "new"])
def test_a_body_that_names_the_old_id_is_told_of_the_new_one(merged: Client, raw: redis.Redis, name: str) -> None:
    if name == "new":
        assert merged.submit("new", 1)["outcome"] == "kept"
        return
    with unchanged(raw):
        answer = merged.server.call("POST", SUBMISSIONS, {"player": "old", "score": 99}, {"Idempotency-Key": "k"})
        problem = refused(answer, 409, "player_merged")
        assert (problem["into"], problem["errors"][0]["pointer"]) == ("new", "/player")
        items = [{"board": "main", "player": "old", "score": 99}]
        done = merged.server.post("/v1/submissions/batch", {"submissions": items})
        assert (done["failed"], done["results"][0]["error"]["code"]) == (1, "player_merged")
        assert done["results"][0]["error"]["into"] == "new"
        answer = merged.server.call("PUT", "/v1/players/p1/friends", {"players": ["old"]})
        problem = refused(answer, 409, "player_merged")
        assert (problem["into"], problem["errors"][0]["pointer"]) == ("new", "/players/0")
        refused(merged.server.call("POST", "/v1/players/p1/merge", {"into": "old"}), 409, "player_merged")
    lookup = merged.post("/v1/boards/main/lookup", {"players": ["old", "new"]})
    assert lookup["not_found"] == ["old"]


def test_a_retry_of_what_counted_before_the_merge_does_not_count_once_more(api: Client, raw: redis.Redis) -> None:
    api.define("main", policy="sum", periods=[{"kind": "alltime"}])
    body = {"player": "old", "score": 5}
    api.submit("old", 5, key="k")
    api.submit("new", 1)
    merge(api)
    with unchanged(raw):
        again = api.server.call("POST", SUBMISSIONS, body, {"Idempotency-Key": "k"})
        assert again.status_code == 200
        assert again.headers["Idempotent-Replayed"] == "true"
        refused(
            api.server.call("POST", SUBMISSIONS, body | {"score": 6}, {"Idempotency-Key": "k"}),
            422, "idempotency_key_reused",
        )  # fmt: skip
    assert api.table() == [(1, "new", 6)]


def test_a_play_that_was_opened_before_the_merge_is_scored_after_it(two: Client) -> None:
    two.define("plays", rules={"attempts": {"most": 9}})
    attempt = two.server.post("/v1/boards/plays/attempts", {"player": "old"}, expect=201)["attempt"]
    two.server.post("/v1/players/old/merge", {"into": "new"})
    assert two.submit("new", 5, "plays", attempt=attempt)["outcome"] == "applied"
    assert two.submit("new", 6, "plays", attempt=attempt, expect=409)["code"] == "attempt_invalid"


def test_a_client_follows_to_the_new_id_by_itself(merged: Client, app: Flask) -> None:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever)
        try:
            with requests.Session() as session:
                session.headers["Authorization"] = f"Bearer {SERVER_KEY}"
                base = f"http://127.0.0.1:{server.port}/v1"
                named = session.put(f"{base}/players/old", json={"display_name": "Ada"}, timeout=30)
                assert (named.status_code, named.json()["id"], named.json()["display_name"]) == (200, "new", "Ada")
                shown = session.get(f"{base}/boards/main/standings/old?period=alltime", timeout=30)
                assert [shown.json()["period"], shown.json()["entry"]["player"]["id"]] == ["alltime", "new"]
                signed_in = session.post(f"{base}/players/old/sessions", timeout=30)
                assert (signed_in.status_code, signed_in.json()["player"]["id"]) == (201, "new")
        finally:
            server.shutdown()
            server.server_close()


# -- what is refused, and changes nothing ------------------------------------------------------------------------------


@pytest.fixture
def two(api: Client) -> Client:
    api.define("main", policy="sum", periods=[{"kind": "alltime"}])
    api.submit("old", 5)
    api.submit("new", 1)
    return api


def test_only_a_server_merges(two: Client, raw: redis.Redis) -> None:
    old = two.player("old")
    with unchanged(raw):
        refused(old.call("POST", MERGE, {"into": "new"}), 403, "forbidden")
        refused(old.call("POST", "/v1/players/me/merge", {"into": "new"}), 403, "forbidden")
        refused(two.call("POST", MERGE, {"into": "new"}), 401, "unauthenticated")


@pytest.mark.parametrize(
    "body", [{}, {"into": "me"}, {"into": None}, {"into": 5}, {"into": "a:b"}, {"into": ""}, {"into": "old"},
             {"into": "new", "reason": "x"}, {"into": ["new"]}],
)  # fmt: skip
def test_a_wrong_body_is_refused(two: Client, raw: redis.Redis, body: Any) -> None:
    with unchanged(raw):
        refused(two.server.call("POST", MERGE, body), 422, "invalid")


def test_who_is_not_there_is_not_merged(two: Client, raw: redis.Redis) -> None:
    two.server.put("/v1/players/gone", {}, expect=201)
    two.server.delete("/v1/players/gone")
    with unchanged(raw):
        problem = refused(two.server.call("POST", MERGE, {"into": "nobody"}), 404, "player_not_found")
        assert problem["errors"][0]["pointer"] == "/into"
        refused(two.server.call("POST", "/v1/players/nobody/merge", {"into": "new"}), 404, "player_not_found")
        refused(two.server.call("POST", MERGE, {"into": "gone"}), 410, "player_erased")
        refused(two.server.call("POST", "/v1/players/gone/merge", {"into": "new"}), 410, "player_erased")


@pytest.mark.parametrize("player", ["old", "new"])
@pytest.mark.parametrize("kind", ["ban", "shadow"])
def test_who_is_banned_is_not_merged(two: Client, raw: redis.Redis, player: str, kind: str) -> None:
    two.admin.put(f"/v1/admin/players/{player}/ban", {"kind": kind, "reason": "cheated"})
    with unchanged(raw):
        refused(two.server.call("POST", MERGE, {"into": "new"}), 409, "merge_banned")
    two.admin.delete(f"/v1/admin/players/{player}/ban?reason=mistake")
    merge(two)
    assert two.table() == [(1, "new", 6)]


def test_a_ban_that_is_over_is_no_hindrance(two: Client, clock: SetClock) -> None:
    body = {"kind": "ban", "reason": "cheated", "ends_at": show_instant(clock.now_ms() + 1000)}
    two.admin.put("/v1/admin/players/old/ban", body)
    clock.pass_ms(1000)
    merge(two)
    assert two.table() == [(1, "new", 6)]


def test_who_has_something_held_is_not_merged(two: Client, raw: redis.Redis) -> None:
    two.define(
        "main",
        policy="sum",
        periods=[{"kind": "alltime"}],
        rules={"max_score": {"value": 50, "then": "hold", "servers": True}},
    )
    assert two.submit("old", 99)["outcome"] == "held"
    with unchanged(raw):
        refused(two.server.call("POST", MERGE, {"into": "new"}), 409, "reviews_open")


def test_two_accounts_of_one_provider_are_not_merged(two: Client, raw: redis.Redis) -> None:
    for subject, player in enumerate(("old", "new")):
        two.server.put(f"/v1/players/{player}/identities/steam", {"subject": str(subject)}, expect=201)
    with unchanged(raw):
        refused(two.server.call("POST", MERGE, {"into": "new"}), 409, "identity_taken")


def test_a_sum_beyond_the_limit_is_refused_before_anything_changes(two: Client, raw: redis.Redis) -> None:
    two.admin.put("/v1/admin/boards/main/entries/new", {"score": 10**15 - 3, "reason": "huge"})
    with unchanged(raw):
        refused(two.server.call("POST", MERGE, {"into": "new"}), 422, "score_out_of_range")
    two.admin.put("/v1/admin/boards/main/entries/new", {"score": 10**15 - 6, "reason": "huge"})
    merge(two)
    assert two.table() == [(1, "new", 10**15 - 1)]


def test_a_merge_again_changes_nothing_and_another_is_refused(two: Client, raw: redis.Redis) -> None:
    two.submit("p1", 1)
    merge(two)
    with unchanged(raw):
        assert merge(two) == {"player": "old", "into": "new"}
        problem = refused(two.server.call("POST", MERGE, {"into": "p1"}), 409, "player_merged")
        assert problem["into"] == "new"
        refused(two.server.call("POST", "/v1/players/new/merge", {"into": "old"}), 409, "player_merged")


def test_a_merge_has_an_idempotency_key(two: Client, raw: redis.Redis) -> None:
    two.submit("p1", 1)
    first = two.server.call("POST", MERGE, {"into": "new"}, {"Idempotency-Key": "k"})
    assert "Idempotent-Replayed" not in first.headers
    with unchanged(raw):
        again = two.server.call("POST", MERGE, {"into": "new"}, {"Idempotency-Key": "k"})
        assert (again.status_code, again.get_json()) == (200, first.get_json())
        assert again.headers["Idempotent-Replayed"] == "true"
        answer = two.server.call("POST", MERGE, {"into": "p1"}, {"Idempotency-Key": "k"})
        refused(answer, 422, "idempotency_key_reused")


# -- at once -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", ["ordinal", "dense"])
def test_nothing_is_lost_of_what_is_submitted_while_a_merge_runs(
    api: Client, app: Flask, raw: redis.Redis, lb: Installation, drain: Drain, ties: str
) -> None:
    for board in ("a", "b", "c"):
        api.define(board, policy="sum", ties=ties, periods=[{"kind": "alltime"}, {"kind": "weekly"}])
        for player in ("old", "new"):
            api.submit(player, 1, board)

    def play(n: int) -> int:
        mine = Client(app.test_client())
        done = 0
        for i in range(25):
            player = "old" if (n + i) % 2 else "new"
            body = {"player": player, "score": 1}
            answer = mine.server.call("POST", f"/v1/boards/{'abc'[i % 3]}/submissions", body)
            if answer.status_code == 409:
                assert answer.get_json()["into"] == "new"
                answer = mine.server.call("POST", f"/v1/boards/{'abc'[i % 3]}/submissions", body | {"player": "new"})
            assert answer.status_code == 200, answer.text
            done += 1
        return done

    with ThreadPoolExecutor(8) as pool:
        players = [pool.submit(play, n) for n in range(6)]
        mergers = [pool.submit(merge, Client(app.test_client())) for _ in range(2)]
        done = sum(future.result() for future in players)
        assert all(future.result() for future in mergers)
    for query in ("&period=alltime", "&period=weekly"):
        tables = [api.table(board, query) for board in ("a", "b", "c")]
        assert [[(rank, player) for rank, player, _ in table] for table in tables] == [[(1, "new")]] * 3
        assert sum(table[0][2] for table in tables) == done + 6
    assert api.server.get("/v1/players/new")["submissions"] == done + 6
    drained(drain)
    assert_archive_is_store(lb.archive, raw)
