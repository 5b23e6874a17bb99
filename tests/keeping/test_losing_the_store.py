"""The store is lost altogether, and made anew from the archive: everything is as it was.

What is compared is the whole of what the API shows (every page of every standings, ranks included) and the whole of
what the store holds (every key, every field, every expiry).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import redis

from leaderboard import rebuild
from leaderboard.installation import Installation
from leaderboard.rebuild import stages
from leaderboard.worker.drain import Drain
from tests.calls import unchanged
from tests.client import Client
from tests.keeping.all_of_it import assert_as_before, look
from tests.keeping.contents import (
    assert_archive_is_store,
    every_key,
    lasting,
)
from tests.keeping.killed_worker import end_lease
from tests.keeping.mixture import PLAYERS, Mixture
from tests.keeping.place import Place
from tests.keeping.points import point_at, points_of
from tests.live import eventually
from tests.oracle import Play, Standings, read_instant, show_instant
from tests.test_f1 import F1, Season, rows
from tests.test_football import FOOTBALL, RULES, Goals

AT_F1 = pytest.mark.skipif(not F1.exists(), reason=f"the results of Formula One are not in {F1}")
AT_FOOTBALL = pytest.mark.skipif(not FOOTBALL.exists(), reason=f"the goals are not in {FOOTBALL}")


# -- a mixture of everything -----------------------------------------------------------------------------------------


@pytest.fixture
def mixture(played: tuple[Mixture, Path], place: Place) -> Mixture:
    """In a store of its own, and archived."""
    mixture, files = played
    place.put_back(files)
    place.drain()
    return replace(mixture, api=place.api())


def everybody(mixture: Mixture) -> list[str]:
    return [*PLAYERS, *mixture.devices.values(), *mixture.erased]


def test_the_mixture_holds_some_of_everything(mixture: Mixture, place: Place) -> None:
    # Else the tests below would prove less than they say.
    keys = lasting(every_key(place.raw), place.installation().clock.now_ms())
    kinds = {key.partition("{0}:")[2].partition(":")[0] for key in keys if "{0}" in key}
    assert kinds == {
        "boards", "gate", "seasons", "kept", "maintenance", "store", "keys", "order", "entries", "distinct", "player",
        "names", "friends", "blockers", "replay", "signing", "bans", "held", "attempts", "attempted",
    }  # fmt: skip
    assert any(key.startswith("lb:device:") for key in keys)
    assert any(key.startswith("lb:identity:") for key in keys)
    standings = [key for key in keys if ":order:" in key]
    assert {keys[key].expires_ms is None for key in standings} == {True, False}
    assert any(b"\x01" in member for key in standings for member, _ in keys[key].value), "nameless entries"
    periods = {key.rpartition(":")[2] for key in standings}
    assert {"s1", "s2", "s3", "s4", "all"} <= periods
    lb = place.installation()
    with lb.archive.read() as connection:
        archived = connection.exec_driver_sql("SELECT count(*) FROM lb_standings").scalar_one()
        reviews = connection.exec_driver_sql("SELECT DISTINCT state FROM lb_reviews").scalars().all()
    assert archived > len(standings), "some have expired"
    assert set(reviews) == {"open", "approved", "rejected"}
    assert {keys[key].value[b"state"] for key in keys if ":gate:" in key} == {
        b"open",
        b"frozen",
        b"archived",
        b"deleted",
    }
    sides = {side.partition(b";")[0] for key in keys if ":friends:" in key for side in keys[key].value.values()}
    assert sides == {b"friends", b"invited", b"invitation", b"blocked"}
    assert_archive_is_store(lb.archive, place.raw)


def test_a_store_that_was_lost_is_made_anew_to_the_last_byte(mixture: Mixture, place: Place) -> None:
    before = look(place, everybody(mixture))
    place.lose_store()
    assert place.api().get("/v1/boards", expect=503)["code"] == "store_unavailable"
    assert place.raw.dbsize() == 0
    rebuilt = place.cli("rebuild")
    assert rebuilt.status == 0, rebuilt.said
    assert "entries verified" in rebuilt.said
    assert_as_before(before, look(place, everybody(mixture)))
    lb = place.installation()
    assert_archive_is_store(lb.archive, place.raw)
    works_as_before(mixture, place)


def works_as_before(mixture: Mixture, place: Place) -> None:
    """What is only known as a digest is still the same: tokens, devices, keys, Idempotency-Keys."""
    api = place.api()
    for player, token in mixture.tokens.items():
        assert Client(api.http, token).get("/v1/players/me")["id"] == player
    for token in mixture.signed_out:
        Client(api.http, token).get("/v1/players/me", expect=401)
    for key, works in mixture.keys.items():
        Client(api.http, key).get("/v1/boards", expect=200 if works else 401)
    with unchanged(place.raw):
        for one in mixture.repeatable:
            caller = Client(api.http, one.caller.token)
            answer = caller.call("POST", one.path, one.body, {"Idempotency-Key": one.key})
            assert answer.status_code == 200, answer.text
            if "batch" in one.path:
                assert answer.get_json()["failed"] == 0
            else:
                assert answer.headers.get("Idempotent-Replayed") == "true", (one.path, one.key)
    for device, player in mixture.devices.items():
        signed_in = api.post("/v1/sessions", {"device_id": device}, expect=201)
        assert (signed_in["player"]["id"], signed_in["created"]) == (player, False)
    assert api.submit("A", 1, "sums", expect=503)["code"] == "maintenance"
    api.admin.delete("/v1/admin/maintenance")

    # And it goes on.
    api.submit("A", 1, "sums")
    api.submit("player-01", 2, "competition")
    api.admin.post("/v1/admin/boards/dense/reset", {"season": "s4"})
    api.submit("player-02", 2.5, "dense", tiebreaks={"wins": 1})
    place.drain()
    assert_archive_is_store(place.installation().archive, place.raw)


def test_a_rebuild_that_is_killed_again_and_again_goes_on_and_comes_to_the_same(mixture: Mixture, place: Place) -> None:
    before = look(place, everybody(mixture))
    place.lose_store()
    # Each goes on where the one before it was killed: in the middle of stages, and at each statement of the end.
    place.killed("rebuild", "20", "300", "1500", "3000", "6000", at_once=50)
    points = [point_at(rebuild._fill, "lb.store.write_many"), *points_of(rebuild._finish)]
    assert not place.killed("rebuild", *points, at_once=50)
    end_lease(place.installation())
    rebuilt = place.cli("rebuild")
    assert rebuilt.status == 0, rebuilt.said
    assert "resumed" in rebuilt.said
    assert_as_before(before, look(place, everybody(mixture)))
    works_as_before(mixture, place)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 7])
def test_a_rebuild_of_small_shares_that_is_killed_everywhere_comes_to_the_same(
    mixture: Mixture, place: Place, rows: int
) -> None:
    before = look(place, everybody(mixture))
    place.lose_store()
    place.killed("rebuild", *(str(number * 37) for number in range(1, 60)), at_once=rows)
    assert not place.killed("rebuild", *points_of(rebuild._fill), *points_of(rebuild._finish), at_once=rows)
    end_lease(place.installation())
    rebuilt = place.cli("rebuild")
    assert rebuilt.status == 0, rebuilt.said
    assert_as_before(before, look(place, everybody(mixture)))


@pytest.mark.parametrize("stage", [0, pytest.param(5, marks=pytest.mark.slow), len(stages.STAGES) - 1])
def test_while_a_rebuild_is_under_way_nothing_is_answered_and_nothing_changes(
    played: tuple[Mixture, Path], place_on_sqlite: Place, stage: int
) -> None:
    place, (_, files) = place_on_sqlite, played
    place.put_back(files)
    place.drain()
    running = place.api()
    running.get("/v1/boards")
    before = look(place, PLAYERS)
    place.lose_store()
    point = f"{point_at(rebuild._fill, 'stage = STAGES[number]')}:{stage + 1}"
    eventually(lambda: running.call("GET", "/v1/boards").status_code == 503, "a process that runs notices")
    with place.paused("rebuild", point) as process:
        for api in (running, place.api()):
            with unchanged(place.raw):
                for method, path, body in (
                    ("GET", "/v1/boards/dense/standings", None),
                    ("GET", "/v1/players/A", None),
                    ("POST", "/v1/boards/sums/submissions", {"player": "A", "score": 1}),
                    ("POST", "/v1/sessions", {"device_id": "n" * 40}),
                    ("PUT", "/v1/players/new", {}),
                    ("DELETE", "/v1/players/A", None),
                    ("PUT", "/v1/admin/boards/new", {}),
                    ("DELETE", "/v1/admin/maintenance", None),
                ):
                    caller = api.admin if "admin" in path else api.server
                    answer = caller.call(method, path, body)
                    assert answer.status_code == 503, (method, path, answer.text)
    assert '"finished"' in process.said, process.said
    assert_as_before(before, look(place, PLAYERS))
    place.drain()


CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/boards/main/submissions", {"player": "alice", "score": 9}),
    ("POST", "/v1/submissions/batch", {"submissions": [{"board": "main", "player": "bob", "score": 9}]}),
    ("PUT", "/v1/players/new", {}),
    ("DELETE", "/v1/players/alice", None),
    ("POST", "/v1/players/alice/sessions", None),
    ("PUT", "/v1/players/alice/friends", {"players": ["bob"]}),
    ("PUT", "/v1/admin/boards/new", {}),
    ("POST", "/v1/admin/boards/main/reset", {"season": "s1"}),
    ("POST", "/v1/admin/keys", {"name": "new", "role": "read"}),
    ("PUT", "/v1/admin/maintenance", {}),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=lambda part: part if isinstance(part, str) else "")
def test_in_the_very_moment_after_the_loss_nothing_is_written(
    api: Client, lb: Installation, raw: redis.Redis, method: str, path: str, body: Any
) -> None:
    # Before a process has noticed that the store is another; each function looks for itself.
    api.define()
    api.submit("alice", 1)
    api.submit("bob", 1)
    Drain(lb).step()
    lb.claim.confirm()
    raw.flushall()
    caller = api.admin if "admin" in path else api.server
    assert caller.call(method, path, body).status_code == 503
    # But for how often the address has called, which is for the next two minutes only.
    assert [key for key in raw.scan_iter() if not key.startswith(b"lb:{0}:calls:")] == []


def test_only_what_was_archived_comes_back(place: Place) -> None:
    api = place.api()
    api.define()
    api.submit("alice", 1)
    place.drain()
    before = look(place, ["alice", "bob"])
    api.submit("bob", 2)
    place.lose_store()
    assert place.cli("rebuild").status == 0
    assert_as_before(before, look(place, ["alice", "bob"]))


def test_without_an_archive_there_is_nothing_to_rebuild_from(place: Place) -> None:
    rebuilt = place.cli("rebuild")
    assert rebuilt.status == 1
    assert "there is no archive" in rebuilt.said


# -- a century of results --------------------------------------------------------------------------------------------


def replay_races(api: Client, seasons: int) -> dict[str, Standings]:
    """The last seasons of Formula One."""
    raced = [row for row in rows(F1 / "events.csv.gz") if int(row["season"]) > 2026 - seasons]
    expected = {}
    for year, results in groupby(raced, lambda row: int(row["season"])):
        season = Season(api, year)
        for _, of_round in groupby(results, lambda row: int(row["round"])):
            season.race(list(of_round))
        expected |= season.boards
    return expected


def replay_goals(api: Client, most: int) -> dict[str, Standings]:
    """The last goals of international football."""
    goals = Goals(api)
    goals.submissions = goals.submissions[-most:]
    goals.named &= {goal["player"] for goal in goals.submissions}
    goals.replay()
    expected = Standings(RULES)
    for goal in goals.submissions:
        expected.submit(Play(goal["player"], 1, (), read_instant(goal["achieved_at"]), stated=True))
    return {"goals": expected}


RESULTS = [
    pytest.param(replay_races, 2, marks=AT_F1, id="f1"),
    pytest.param(replay_goals, 1_500, marks=AT_FOOTBALL, id="football"),
    pytest.param(replay_races, 36, marks=[AT_F1, pytest.mark.slow], id="all of f1"),
    pytest.param(replay_goals, 100_000, marks=[AT_FOOTBALL, pytest.mark.slow], id="all of football"),
]


@pytest.mark.parametrize(("replay", "most"), RESULTS)
def test_results_and_ranks_are_those_of_before_and_those_of_the_sorted_list(
    place: Place, replay: Callable[[Client, int], dict[str, Standings]], most: int
) -> None:
    expected = replay(place.api(), most)
    place.drain()
    before = look(place, [])
    place.lose_store()
    rebuilt = place.cli("rebuild")
    assert rebuilt.status == 0, rebuilt.said
    after = look(place, [])
    assert_as_before(before, after)
    for board, standings in expected.items():
        shown = [entry for page in after.shown[f"{board} all"] for entry in page["entries"]]
        scale = 10**standings.rules.decimals
        assert [
            (e["rank"], e["player"]["id"], round(e["score"] * scale), *e["tiebreaks"].values(), e["achieved_at"])
            for e in shown
        ] == [(rank, e.player, e.score, *e.tiebreaks, show_instant(e.achieved_at)) for rank, e in standings.rows()], (
            board
        )
