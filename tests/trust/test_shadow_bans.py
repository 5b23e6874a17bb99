"""Shadow bans: the player sees what it would see without one; nobody else sees the player.

What it sees is compared with what it sees once the ban is lifted, and what others see with what they see once its
entries are removed: two states that no shadow has to do with.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.worker.drain import Drain
from tests.calls import SUBMISSIONS, refused
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store
from tests.test_one_call import received
from tests.trust.test_bans import ban, held, lift, path_of, places

SUBJECT = "m"
OTHERS = [f"p{i}" for i in range(9)]

#: Everything in one table, and pieces that begin, end or have their middle anywhere.
PATHS = [
    "/standings",
    "/periods",
    *(f"/standings?limit={limit}&offset={offset}" for limit in (1, 3) for offset in (0, 1, 4, 5, 8, 9, 10)),
    *(f"/standings?limit={limit}&around_score={score}" for limit in (1, 4) for score in (-1, 2, 3, 6)),
    *(f"/standings/{player}" for player in (*OTHERS, SUBJECT)),
    *(f"/standings/{player}/around?limit={limit}" for player in (*OTHERS[::3], SUBJECT) for limit in (1, 4, 20)),
    *(f"/distribution?buckets={buckets}" for buckets in (1, 5, 50)),
]


def seen(caller: Client, board: str = "main") -> dict[str, Any]:
    """All that somebody sees of a board, by path."""
    shown = {path: caller.call("GET", f"/v1/boards/{board}{path}").get_json() for path in PATHS}
    for limit in (1, 3):
        for way in ("next_cursor", "prev_cursor"):
            shown[f"{way} {limit}"] = list(paged(caller, board, limit, way))
    players = [SUBJECT, *OTHERS, "nobody"]
    shown["lookup"] = caller.post(f"/v1/boards/{board}/lookup", {"players": players})
    shown["lookup of others"] = caller.post(f"/v1/boards/{board}/lookup", {"players": OTHERS})
    for player in (SUBJECT, OTHERS[0]):
        shown[f"entries {player}"] = caller.get(f"/v1/players/{player}/entries")
    return shown


def seen_among_friends(caller: Client) -> list[Any]:
    return [caller.get(f"/v1/boards/main/standings/me/friends?limit={limit}") for limit in (1, 2, 50)]


def paged(caller: Client, board: str, limit: int, way: str) -> Iterator[Any]:
    start = "" if way == "next_cursor" else "&offset=8"
    page = caller.get(f"/v1/boards/{board}/standings?limit={limit}{start}")
    yield page["entries"]
    while page[way]:
        page = caller.get(f"/v1/boards/{board}/standings?limit={limit}&cursor={page[way]}")
        yield page["entries"]


def define(api: Client, board: str, ties: str, order: str) -> None:
    rules = {"rate": None}
    tiebreaks = [{"name": "wins", "order": order}]
    api.define(board, ties=ties, order=order, tiebreaks=tiebreaks, periods=[{"kind": "alltime"}], rules=rules)


def populate(api: Client, board: str, seed: int) -> None:
    rng = random.Random(seed)
    for player in OTHERS:
        api.submit(player, rng.randrange(6), board, tiebreaks={"wins": rng.randrange(2)}, metadata={"of": player})


# Beyond all others at one end or, in the other order, at the other; and among equals. The others are more of these.
@pytest.mark.parametrize("score", [-1, 3, *(pytest.param(score, marks=pytest.mark.slow) for score in (2, 6))])
@pytest.mark.parametrize("ties", ["ordinal", "competition", "dense"])
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_a_shadowed_player_sees_itself_in_its_place_and_nobody_else_does(
    api: Client, ties: str, order: str, score: int
) -> None:
    define(api, "main", ties, order)
    populate(api, "main", score)
    own, other = api.player(SUBJECT), api.player(OTHERS[0])
    api.server.put(f"/v1/players/{SUBJECT}/friends", {"players": OTHERS[:4]})
    submission = {"score": score, "tiebreaks": {"wins": 1}, "metadata": {"car": "red"}}
    ban(api, SUBJECT, "shadow")
    own.post(SUBMISSIONS, submission)
    by_itself, among_friends = seen(own), seen_among_friends(own)
    friends_of_other = seen_among_friends(other)
    callers = {"nobody": api, "other": other, "server": api.server}
    by_others = {name: seen(caller) for name, caller in callers.items()}
    assert [entry["player"]["id"] for entry in by_itself["/standings"]["entries"]].count(SUBJECT) == 1

    lift(api, SUBJECT)
    assert seen(own) == by_itself
    assert seen_among_friends(own) == among_friends
    api.admin.delete(f"/v1/admin/boards/main/entries/{SUBJECT}?reason=cheated")
    for name, caller in callers.items():
        assert seen(caller) == by_others[name], name
    assert seen_among_friends(other) == friends_of_other


@pytest.mark.parametrize("ties", ["ordinal", "competition", "dense"])
@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
def test_a_shadowed_players_submissions_are_answered_as_anybodys(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, ties: str, policy: str
) -> None:
    for board in ("main", "twin"):
        api.define(board, ties=ties, policy=policy, rules={"rate": None})
        for i, player in enumerate(OTHERS):
            api.submit(player, i % 5, board)
    own = api.player(SUBJECT)

    def play(board: str) -> list[Any]:
        done = []
        for i, score in enumerate((2, 1, 4, 4, 3, 0, 9)):
            body = {"score": score, "metadata": {"n": i}}
            for key in (f"k{i}", f"k{i}"):
                answer = own.post(f"/v1/boards/{board}/submissions", body, key=key)
                assert answer.pop("board") == board
                done.append(answer)
            body = {"player": SUBJECT, "score": score}
            done.append(api.server.post(f"/v1/boards/{board}/submissions", body)["standings"])
        return done

    honest = play("twin")
    ban(api, SUBJECT, "shadow")
    assert play("main") == honest
    assert [player for _, player, _ in api.table()] == [player for _, player, _ in api.table("twin")]
    assert SUBJECT not in [player for _, player, _ in api.table("twin")]
    shadowed, twin = (own.get(f"/v1/boards/{board}/standings/me") for board in ("main", "twin"))
    assert {**shadowed, "board": ""} == {**twin, "board": ""}
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)
    lift(api, SUBJECT)
    assert api.table() == api.table("twin")


def test_standings_that_begin_with_a_shadowed_player_are_empty_for_the_others(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock
) -> None:
    api.define("main", ties="dense", periods=[{"kind": "weekly"}])
    own = api.player(SUBJECT)
    ban(api, SUBJECT, "shadow")
    (standing,) = own.post(SUBMISSIONS, {"score": 5})["standings"]
    assert (standing["previous_rank"], standing["rank"]) == (None, 1)
    found = own.get("/v1/boards/main/standings/me")
    assert (found["entry"]["rank"], found["total"], found["percentile"]) == (1, 1, 100)
    assert own.get("/v1/boards/main/distribution")["buckets"] == [{"low": 5, "high": 5, "count": 1}]
    assert api.table() == []
    api.submit("other", 5)
    assert api.table() == [(1, "other", 5)]
    lift(api, SUBJECT)
    assert api.table() == [(1, SUBJECT, 5), (1, "other", 5)]
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)


def test_a_shadowed_player_is_told_nothing(api: Client, drain: Drain) -> None:
    api.define("main")
    own = api.player(SUBJECT)
    profile = own.get("/v1/players/me")
    ban(api, SUBJECT, "shadow")
    assert own.get("/v1/players/me") == profile
    own.patch("/v1/players/me", {"display_name": "Still here"})
    assert Client(api.http, api.server.post(f"/v1/players/{SUBJECT}/sessions", expect=201)["token"]).get(
        "/v1/players/me"
    )
    refused(own.call("GET", path_of(SUBJECT)), 403, "forbidden")
    while drain.step():
        pass
    export = own.get("/v1/players/me/export")
    assert (export["ban"], [act["operation"] for act in export["acts"] if "ban" in act["operation"]]) == (None, [])
    assert api.server.get(f"/v1/players/{SUBJECT}/export")["ban"]["kind"] == "shadow"


def test_a_shadowed_players_submission_is_one_call(api: Client, raw: redis.Redis) -> None:
    api.define("main")
    own = api.player(SUBJECT)
    ban(api, SUBJECT, "shadow")
    with received(raw) as commands:
        own.post(SUBMISSIONS, {"score": 5})
    assert commands == ["FCALL"]


def test_two_shadowed_players_do_not_see_each_other(api: Client) -> None:
    api.define("main")
    for player, score in (("a", 30), ("b", 20), ("c", 10)):
        api.submit(player, score)
    ban(api, "a", "shadow")
    ban(api, "b", "shadow")
    for player, table in (("a", [(1, "a"), (2, "c")]), ("b", [(1, "b"), (2, "c")]), ("c", [(1, "c")])):
        page = api.player(player).get("/v1/boards/main/standings")
        assert [(entry["rank"], entry["player"]["id"]) for entry in page["entries"]] == table


def test_a_shadowed_player_still_finds_itself_in_standings_that_were_settled_without_it(
    api: Client, clock: SetClock
) -> None:
    api.define("main", periods=[{"kind": "weekly", "settle_delay_s": 3600}, {"kind": "alltime"}])
    for player in ("a", SUBJECT, "z"):
        api.submit(player, 10)
    ban(api, SUBJECT, "shadow")
    clock.pass_ms(8 * DAY_MS)
    path = "/v1/boards/main/standings?period=weekly&period_id=previous"
    own = api.player(SUBJECT)
    assert [entry["player"]["id"] for entry in own.get(path)["entries"]] == ["a", SUBJECT, "z"]
    assert [entry["player"]["id"] for entry in api.get(path)["entries"]] == ["a", "z"]


# -- by hand -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ban", "shadow"])
def test_a_correction_of_a_banned_players_entry_stays_hidden(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, kind: str
) -> None:
    api.define("main", ties="dense", periods=[{"kind": "alltime"}])
    api.submit("other", 15)
    api.submit(SUBJECT, 10)
    ban(api, SUBJECT, kind)
    path = f"/v1/admin/boards/main/entries/{SUBJECT}"
    corrected = api.admin.put(path, {"score": 20, "reason": "replay checked"})
    assert (corrected["entry"]["score"], corrected["entry"]["rank"], corrected["total"]) == (20, 1, 2)
    assert api.table() == [(1, "other", 15)]
    assert places(raw, SUBJECT) == []
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)
    lift(api, SUBJECT)
    assert api.table() == [(1, SUBJECT, 20), (2, "other", 15)]
    ban(api, SUBJECT, kind)
    api.admin.delete(f"{path}?reason=cheated")
    lift(api, SUBJECT)
    assert api.table() == [(1, "other", 15)]


def test_a_ban_says_who_made_it_when_and_why_and_repeating_it_changes_nothing(
    api: Client, raw: redis.Redis, clock: SetClock
) -> None:
    api.define("main")
    api.submit("alice", 10)
    key = api.admin.post("/v1/admin/keys", {"name": "a moderator", "role": "admin"}, expect=201)
    body = {"kind": "ban", "reason": "see; ticket № 7\n\u0007", "ends_at": "2999-01-01T00:00:00.000Z"}
    made = Client(api.http, key["secret"]).put(path_of("alice"), body)
    created_at = made.pop("created_at")
    assert made == body | {"player": "alice", "author": key["id"]}
    clock.pass_ms(5000)
    before = raw.hgetall("lb:{0}:player:alice")
    assert api.admin.put(path_of("alice"), body) == made | {"created_at": created_at}
    assert raw.hgetall("lb:{0}:player:alice") == before
    assert api.admin.get(path_of("alice")) == made | {"created_at": created_at}
    # Another kind, and back: it is a ban of now, by somebody else.
    own = api.server
    for kind, status in (("shadow", 200), ("ban", 403), ("shadow", 200)):
        changed = api.admin.put(path_of("alice"), {"kind": kind, "reason": "a bot"})
        assert (changed["kind"], changed["author"], changed["ends_at"]) == (kind, "setting-admin", None)
        assert changed["created_at"] > created_at
        assert api.table() == []
        own.post(SUBMISSIONS, {"player": "alice", "score": 11}, expect=status)
    assert not raw.exists("lb:{0}:bans:ends")
    lift(api, "alice")
    assert api.table() == [(1, "alice", 11)]
    for method in ("GET", "DELETE"):
        query = "?reason=again" if method == "DELETE" else ""
        refused(api.admin.call(method, path_of("alice") + query), 404, "ban_not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": "x"}, "/kind"),
        ({"kind": "ban"}, "/reason"),
        ({"kind": "ban", "reason": ""}, "/reason"),
        ({"kind": "ban", "reason": "x" * 501}, "/reason"),
        ({"kind": "mute", "reason": "x"}, "/kind"),
        ({"kind": ["ban"], "reason": "x"}, "/kind"),
        ({"kind": "ban", "reason": "x", "ends_at": "2001-01-01T00:00:00Z"}, "/ends_at"),
        ({"kind": "ban", "reason": "x", "ends_at": 0}, "/ends_at"),
        ({"kind": "ban", "reason": "x", "ends_at": "tomorrow"}, "/ends_at"),
        ({"kind": "ban", "reason": "x", "author": "somebody else"}, "/author"),
        ({"kind": "ban", "reason": "x", "created_at": "2001-01-01T00:00:00Z"}, "/created_at"),
    ],
)
def test_a_ban_that_is_not_right_changes_nothing(
    api: Client, raw: redis.Redis, body: dict[str, Any], pointer: str
) -> None:
    api.define("main")
    api.submit("alice", 10)
    problem = refused(api.admin.call("PUT", path_of("alice"), body), 422, "invalid")
    assert problem["errors"][0]["pointer"] == pointer
    assert api.table() == [(1, "alice", 10)]
    assert not raw.hexists("lb:{0}:player:alice", "ban")


def test_bans_are_listed_by_player_and_kind(api: Client, clock: SetClock) -> None:
    players = [f"p{i}" for i in range(7)]
    for i, player in enumerate(players):
        api.server.put(f"/v1/players/{player}", {}, expect=201)
        ban(api, player, "shadow" if i % 2 else "ban", clock.now_ms() + 1000 if i == 4 else None)
    lift(api, "p2")
    clock.pass_ms(1000)
    # p4's is over, and nobody has noticed yet.
    for query, expected in (("", "01356"), ("&kind=ban", "06"), ("&kind=shadow", "135")):
        for limit in (1, 2, 3, 200):
            found, cursor = [], ""
            while cursor is not None:
                page = api.admin.get(f"/v1/admin/bans?limit={limit}{query}" + (f"&cursor={cursor}" if cursor else ""))
                assert len(page["bans"]) <= limit
                found += page["bans"]
                cursor = page["next_cursor"]
            assert [one["player"] for one in found] == [f"p{i}" for i in expected]
    assert found[0] == api.admin.get(path_of("p1"))


def test_only_players_that_are_there_can_be_banned(api: Client) -> None:
    api.server.put("/v1/players/gone", {}, expect=201)
    api.server.delete("/v1/players/gone")
    for player, status, code in (("nobody", 404, "player_not_found"), ("gone", 410, "player_erased")):
        for method, query, body in (
            ("PUT", "", {"kind": "ban", "reason": "x"}),
            ("GET", "", None),
            ("DELETE", "?reason=x", None),
        ):
            refused(api.admin.call(method, path_of(player) + query, body), status, code)
    refused(api.admin.call("DELETE", path_of("nobody")), 422, "invalid")


def test_while_the_journal_is_full_players_can_be_banned_and_bans_are_lifted_later(
    api: Client, app: Flask, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock
) -> None:
    api.define("main")
    api.submit("alice", 10)
    own = api.player("alice")
    full_app = create_app(replace(lb.settings, journal_records_most=int(raw.xlen("lb:{0}:journal"))), clock)
    full = Client(full_app.test_client())
    ban(full, "alice", ends_ms=clock.now_ms() + 1000)
    assert api.table() == []
    refused(full.admin.call("DELETE", f"{path_of('alice')}?reason=mistake"), 503, "journal_full")
    clock.pass_ms(1000)
    # Who is banned no more can read at least.
    assert Client(full.http, own.token).get("/v1/players/me")["id"] == "alice"
    assert full.submit("alice", 11, expect=503)["code"] == "journal_full"
    full_app.extensions["leaderboard"].close()
    held(raw, drain, clock)
    assert api.submit("alice", 11)["outcome"] == "applied"
    assert api.table() == [(1, "alice", 11)]
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)
