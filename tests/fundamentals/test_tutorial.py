"""How the service is used, from the first board to the second season. Read it from top to bottom."""

from __future__ import annotations

from tests.client import Client


def test_a_better_score_replaces_the_best_and_a_lower_one_does_not(api: Client) -> None:
    api.define("main")
    assert api.submit("alice", 100)["outcome"] == "applied"
    assert api.submit("alice", 90)["outcome"] == "kept"
    assert api.submit("alice", 120)["outcome"] == "applied"
    # rank  player  score
    #    1  alice     120
    assert api.table() == [(1, "alice", 120)]


def test_a_submission_tells_what_it_did_in_each_standings(api: Client) -> None:
    api.define("main")
    api.submit("alice", 100)
    result = api.submit("bob", 110)
    assert [(s["period"], s["rank"], s["previous_rank"], s["changed"]) for s in result["standings"]] == [
        ("season", 1, None, True),
        ("weekly", 1, None, True),
    ]
    result = api.submit("alice", 130)
    assert [(s["rank"], s["previous_rank"]) for s in result["standings"]] == [(1, 2), (1, 2)]


def test_players_sign_in_and_submit_for_themselves(api: Client) -> None:
    api.define("main")
    session = api.post("/v1/sessions", {"device_id": "x" * 32, "display_name": "Ada"}, expect=201)
    ada = Client(api.http, session["token"])
    ada.post("/v1/boards/main/submissions", {"score": 7})
    page = api.get("/v1/boards/main/standings")
    assert page["entries"][0]["player"]["display_name"] == "Ada"
    assert ada.get("/v1/boards/main/standings/me")["entry"]["score"] == 7


def test_friends_see_their_own_standings(api: Client) -> None:
    api.define("main")
    for player, score in (("alice", 5), ("bob", 9), ("carol", 7)):
        api.submit(player, score)
    alice, carol = api.player("alice"), api.player("carol")
    assert alice.put("/v1/players/me/friends/carol") == {"state": "invited"}
    assert carol.put("/v1/players/me/friends/alice") == {"state": "friends"}
    page = alice.get("/v1/boards/main/standings/me/friends")
    # rank  board rank  player
    #    1           2  carol
    #    2           3  alice
    assert [(e["rank"], e["board_rank"], e["player"]["id"]) for e in page["entries"]] == [
        (1, 2, "carol"),
        (2, 3, "alice"),
    ]


def test_a_reset_opens_a_new_season_and_the_old_one_stays_readable(api: Client) -> None:
    api.define("main")
    api.submit("alice", 100)
    assert api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})["opened"] == "s2"
    assert api.table() == []
    api.submit("bob", 1)
    assert api.table() == [(1, "bob", 1)]
    assert api.table(query="&period_id=s1") == [(1, "alice", 100)]
    assert api.table(query="&period_id=previous") == [(1, "alice", 100)]
    assert api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"}, expect=409)["season"] == "s2"
