"""A store that is not what the archive says is replaced by one that is: by `leaderboard rebuild`, and by `serve`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leaderboard import rebuild
from leaderboard.archive import readers
from leaderboard.worker.drain import Drain
from tests.calls import unchanged
from tests.keeping.all_of_it import Before, assert_as_before, look
from tests.keeping.contents import (
    assert_archive_is_store,
)
from tests.keeping.killed_worker import end_lease
from tests.keeping.place import Place
from tests.keeping.points import point_at
from tests.live import eventually
from tests.test_serve import Serve


@pytest.fixture
def put_back(place: Place) -> tuple[Place, Before]:
    """A store as it was before the last step of the archive, and all that was archived."""
    api = place.api()
    api.define(policy="sum")
    api.submit("alice", 1)
    token = api.player("alice").token
    place.drain()
    copy = place.copy_store("yesterday")
    for player in ("alice", "bob", "carol"):
        api.submit(player, 2)
    api.server.put("/v1/players/alice", {"display_name": "Alice"})
    assert token
    place.drain()
    before = look(place, ["alice", "bob", "carol", "dave"])
    place.put_back(copy)
    return place, before


def test_a_store_that_was_put_back_is_replaced_when_it_is_said(put_back: tuple[Place, Before]) -> None:
    place, before = put_back
    with unchanged(place.raw):
        refused = place.cli("rebuild")
    assert refused.status == 1
    assert "--replace deletes it first" in refused.said
    replaced = place.cli("rebuild", "--replace")
    assert replaced.status == 0, replaced.said
    assert_as_before(before, look(place, ["alice", "bob", "carol", "dave"]))
    place.api().submit("dave", 1)
    assert place.drain()
    assert_archive_is_store(place.installation().archive, place.raw)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_a_store_that_was_put_back_and_has_gone_on_the_archive_is_what_counts(
    put_back: tuple[Place, Before],
) -> None:
    place, before = put_back
    api = place.api()
    api.define("gone-on", ties="dense")
    for player in ("dave", "eve"):
        api.submit(player, 9)
        api.submit(player, 9, "gone-on")
        api.player(player)
    api.server.put("/v1/players/dave/friends", {"players": ["alice"]})
    replaced = place.cli("rebuild", "--replace")
    assert replaced.status == 0, replaced.said
    assert_as_before(before, look(place, ["alice", "bob", "carol", "dave"]))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_whose_journal_waits_to_be_archived_is_not_replaced(place: Place) -> None:
    api = place.api()
    api.define()
    place.drain()
    api.submit("alice", 1)
    with unchanged(place.raw):
        refused = place.cli("rebuild", "--replace")
    assert refused.status == 1
    assert "records wait in the journal" in refused.said
    place.drain()
    before = look(place, ["alice"])
    replaced = place.cli("rebuild", "--replace")
    assert replaced.status == 0, replaced.said
    assert_as_before(before, look(place, ["alice"]))


@pytest.mark.parametrize("before", ["reply = lb.store.call(", "if was_open:"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_acknowledged_while_a_store_is_being_emptied_is_not_lost(place: Place, before: str) -> None:
    # The journal was empty when the rebuild looked. What comes then is refused, or archived, or keeps the store from
    # being emptied.
    api = place.api()
    api.define()
    api.submit("alice", 1)
    place.drain()
    with place.paused("rebuild", point_at(rebuild._begin, before)):
        answer = api.server.call("POST", "/v1/boards/main/submissions", {"player": "bob", "score": 2})
    place.drain()
    eventually(lambda: api.call("GET", "/readyz").status_code == 200, "the service goes on")
    acknowledged = ["bob"] if answer.status_code == 200 else []
    assert [player for _, player, _ in api.table()] == [*acknowledged, "alice"]


@pytest.mark.parametrize("harm", ["score", "metadata", "entry", "order", "distinct"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_that_is_not_as_the_archive_stays_closed(place: Place, harm: str) -> None:
    api = place.api()
    api.define(ties="dense", periods=[{"kind": "alltime"}])
    for player in ("alice", "bob"):
        api.submit(player, len(player), metadata={"n": player})
    place.drain()
    place.lose_store()
    order, entries, distinct = (f"lb:{{0}}:{name}:main:all" for name in ("order", "entries", "distinct"))
    with place.paused("rebuild", point_at(rebuild._rebuild, "standings = verify_standings(")) as process:
        ((member, score), *_) = stored = place.raw.zrange(order, 0, -1, withscores=True)
        assert len(stored) == 2
        player = bytes(member)[7:]
        match harm:
            case "score":
                place.raw.zadd(order, {member: score + 1})
            case "metadata":
                place.raw.hset(entries, player, bytes(place.raw.hget(entries, player)) + b" ")
            case "entry":
                place.raw.hdel(entries, player)
            case "order":
                place.raw.zrem(order, member)
            case "distinct":
                place.raw.zadd(distinct, {b"another": 1})
    assert "differ from the archive" in process.said
    assert place.api().get("/v1/boards/main/standings", expect=503)["code"] == "store_unavailable"


@pytest.mark.parametrize(
    ("function", "statement"),
    [(rebuild._begin, "time.sleep"), (rebuild._empty, "cursor, keys = _scan"), (rebuild._empty, "_renew(")],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_rebuild_killed_while_it_empties_the_store_leaves_nothing_of_what_was_there(
    put_back: tuple[Place, Before], function: Callable[..., Any], statement: str
) -> None:
    # What was there, and is not in the archive, must not be in the store that is opened again.
    place, before = put_back
    place.api().player("mallory")
    place.api().admin.post("/v1/admin/keys", {"name": "never archived", "role": "admin"}, expect=201)
    assert not place.killed("rebuild", point_at(function, statement))
    end_lease(place.installation())
    replaced = place.cli("rebuild", "--replace")
    assert replaced.status == 0, replaced.said
    assert_as_before(before, look(place, ["alice", "bob", "carol", "dave"]))


@pytest.mark.slow
def test_a_rebuild_waits_for_a_worker_that_runs_and_then_says_so(place: Place) -> None:
    api = place.api()
    api.define()
    place.worker()
    archive = place.installation().archive
    eventually(lambda: archive.exists() and readers.read_owner(archive) is not None, "the worker archives")
    refused = place.cli("rebuild", "--replace")
    assert refused.status == 1
    assert "a worker is archiving" in refused.said


@pytest.mark.slow
def test_a_rebuild_waits_until_the_lease_of_a_dead_worker_has_run_out(place: Place) -> None:
    api = place.api()
    api.define()
    api.submit("alice", 1)
    assert not place.killed("worker", point_at(Drain._drain, "return len(records)"))
    position = readers.read_position(place.installation().archive)
    assert position is not None
    before = look(place, ["alice"])
    place.lose_store()
    rebuilt = place.cli("rebuild")
    assert rebuilt.status == 0, rebuilt.said
    assert_as_before(before, look(place, ["alice"]))


# -- `leaderboard serve` ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [pytest.param("lost", marks=pytest.mark.slow), "put back"])
def test_serve_mends_its_own_store(place_on_sqlite: Place, what: str) -> None:
    place = place_on_sqlite
    api = place.api()
    api.define("main")
    for player in ("bob", "alice"):
        api.submit(player, len(player))
    place.drain()
    copy = place.copy_store("yesterday")
    api.submit("carol", 1)
    place.drain()
    before = look(place, ["alice", "bob", "carol"])
    if what == "lost":
        place.lose_store()
    else:
        place.put_back(copy)
    place.store.stop()
    serve = Serve(place.folder)
    try:
        serve.started()
        assert "making it anew from the archive" in serve.wrote()
        page = serve.call("GET", "/v1/boards/main/standings").json()
        assert [entry["player"]["id"] for entry in page["entries"]] == ["alice", "bob", "carol"]
        assert serve.stopped() == 0
    finally:
        serve.process.kill()
        serve.process.wait()
    place.store.start()
    place.forget()
    end_lease(place.installation())
    after = look(place, ["alice", "bob", "carol"])
    # `serve` has made itself keys; they are all that is new.
    after.keys.pop("lb:{0}:keys", None)
    assert_as_before(before, after)
