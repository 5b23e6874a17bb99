"""Taking back what an admin did, from what the audit has of it: definitions of boards, corrections, removals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard.model import DAY_MS
from leaderboard.worker.drain import Drain
from tests.calls import refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import Kept, assert_archive_is_store, assert_same, every_key

ENTRY = "/v1/admin/boards/main/entries/bob"
BOARD = "/v1/admin/boards/main"


@pytest.fixture
def archive(app: Flask) -> Callable[[], None]:
    """Archives what the journal holds."""
    drain = Drain(app.extensions["leaderboard"])

    def archive() -> None:
        while drain.step():
            pass

    return archive


@pytest.fixture
def last_act(api: Client, archive: Callable[[], None]) -> Callable[[], Any]:
    def last_act() -> Any:
        archive()
        return api.admin.get("/v1/admin/audit?limit=1")["acts"][0]

    return last_act


def dump(raw: redis.Redis) -> dict[str, Kept]:
    """Everything in the store, but for how far the archive is, and how often who has called."""
    passing = ("lb:{0}:journal", "lb:{0}:store", "lb:{0}:calls:")
    return {key: kept for key, kept in every_key(raw).items() if not key.startswith(passing)}


def play(api: Client, clock: SetClock, **definition: Any) -> None:
    """Several submissions of each, so that their newest is not what counts, and some of equal scores."""
    tiebreaks = [{"name": "wins"}, {"name": "losses", "order": "asc"}]
    api.define("main", tiebreaks=tiebreaks, decimals=1, rules={"rate": None}, **definition)
    for score in (12.5, 3, 12.5, 12.5, 0):
        for player in ("alice", "bob", "carol"):
            clock.pass_ms(7)
            api.submit(player, score, tiebreaks={"wins": 1, "losses": 2}, metadata={"at": clock.now_ms()})


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("ties", ["ordinal", "dense"])
@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
def test_an_entry_that_was_removed_is_put_back_as_it_was(
    api: Client, raw: redis.Redis, clock: SetClock, last_act: Callable[[], Any], app: Flask, policy: str, ties: str,
    order: str,
) -> None:  # fmt: skip
    play(api, clock, policy=policy, ties=ties, order=order)
    before, table = dump(raw), api.table()
    clock.pass_ms(60_000)
    api.admin.delete(f"{ENTRY}?reason=a mistake")
    act = last_act()
    assert "bob" not in [player for _, player, _ in api.table()]
    assert dump(raw) != before
    api.admin.put(f"{ENTRY}?period_id={act['period_id']}", act["before"] | {"reason": "taken back"})
    assert_same("keys", before, dump(raw))
    assert api.table() == table
    undone = last_act()
    assert (undone["before"], undone["after"], undone["reason"]) == (None, act["before"], "taken back")
    assert_archive_is_store(app.extensions["leaderboard"].archive, raw)


@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
def test_a_correction_is_taken_back(
    api: Client, raw: redis.Redis, clock: SetClock, last_act: Callable[[], Any], policy: str
) -> None:
    play(api, clock, policy=policy, ties="dense")
    before = dump(raw)
    api.admin.put(ENTRY, {"score": 99, "reason": "a mistake"})
    act = last_act()
    assert act["after"]["score"] == 99
    api.admin.put(ENTRY, act["before"] | {"reason": "taken back"})
    assert_same("keys", before, dump(raw))
    # Nothing is left to do, so there is no act.
    with unchanged(raw):
        api.admin.put(ENTRY, act["before"] | {"reason": "once more"})


def test_of_a_week_that_is_not_settled_an_entry_is_put_back_with_its_expiry(
    api: Client, raw: redis.Redis, clock: SetClock, last_act: Callable[[], Any]
) -> None:
    api.define("main", periods=[{"kind": "weekly", "settle_delay_s": 8 * 86_400}])
    api.submit("bob", 5)
    before = dump(raw)
    clock.pass_ms(7 * DAY_MS)
    # The only one: its keys are gone with it.
    api.admin.delete(f"{ENTRY}?reason=a mistake&period_id=previous")
    act = last_act()
    assert not [key for key in dump(raw) if ":entries:" in key]
    path = f"{ENTRY}?period_id={act['period_id']}"
    api.admin.put(path, act["before"] | {"reason": "taken back"})
    assert_same("keys", before, dump(raw))
    clock.pass_ms(9 * DAY_MS)
    refused(api.admin.call("PUT", path, act["before"] | {"reason": "late"}), 409, "period_settled")


def test_an_entry_is_put_back_on_a_board_that_is_frozen_but_not_for_a_player_that_was_erased(
    api: Client, raw: redis.Redis, last_act: Callable[[], Any]
) -> None:
    api.define("main")
    api.submit("bob", 5)
    api.admin.delete(f"{ENTRY}?reason=a mistake")
    body = last_act()["before"] | {"reason": "taken back"}
    api.define("main", state="frozen")
    api.admin.put(ENTRY, body)
    api.server.delete("/v1/players/bob")
    with unchanged(raw):
        refused(api.admin.call("PUT", ENTRY, body), 410, "player_erased")


@pytest.mark.parametrize(
    "more",
    [
        {"submissions": 1}, {"newest_at": "2026-11-20T10:00:00Z"},
        {"submissions": 1, "newest_at": "2026-11-20T10:00:00Z"},
        {"submissions": 1, "newest_at": "2026-11-20T09:59:59.999Z", "achieved_at": "2026-11-20T10:00:00Z"},
        {"submissions": 0, "newest_at": "2026-11-20T10:00:00Z", "achieved_at": "2026-11-20T10:00:00Z"},
        {"submissions": 2**31, "newest_at": "2026-11-20T10:00:00Z", "achieved_at": "2026-11-20T10:00:00Z"},
        {"submissions": True, "newest_at": "2026-11-20T10:00:00Z", "achieved_at": "2026-11-20T10:00:00Z"},
        {"submissions": 1, "newest_at": "2999-11-20T10:00:00Z", "achieved_at": "2026-11-20T10:00:00Z"},
        {"submissions": 1, "newest_at": None, "achieved_at": "2026-11-20T10:00:00Z"},
    ],
)  # fmt: skip
def test_what_no_entry_can_have_is_not_put_there(api: Client, raw: redis.Redis, more: dict[str, Any]) -> None:
    api.define("main")
    api.submit("bob", 5)
    with unchanged(raw):
        refused(api.admin.call("PUT", ENTRY, {"score": 1, "reason": "x"} | more), 422, "invalid")
        # Nor does a server or a player put anything back.
        body = {"score": 1, "player": "bob"} | more
        refused(api.server.call("POST", "/v1/boards/main/submissions", body), 422, "invalid")


# -- definitions -----------------------------------------------------------------------------------------------------


def test_a_definition_is_taken_back_by_putting_the_one_before(
    api: Client, raw: redis.Redis, archive: Callable[[], None]
) -> None:
    api.define("main", title="First", rules={"rate": None}, periods=[{"kind": "weekly", "keep_days": 9}])
    before = api.admin.get(BOARD)
    api.define("main", title="Second")
    api.define("other")
    archive()
    page = api.admin.get(f"{BOARD}/revisions")
    assert [(one["revision"], one["definition"]["title"]) for one in page["revisions"]] == [(2, "Second"), (1, "First")]
    assert {one["actor"]["id"] for one in page["revisions"]} == {"setting-admin"}
    assert (page["waiting"], page["next_cursor"]) == (0, None)
    _, first = page["revisions"]
    stale = api.admin.call("PUT", BOARD, first["definition"], {"If-Match": "1"})
    refused(stale, 412, "revision_mismatch")
    assert api.admin.call("PUT", BOARD, first["definition"], {"If-Match": "2"}).status_code == 200
    assert api.admin.get(BOARD) == before | {"revision": 3}


def test_revisions_are_paged_and_outlive_the_board(api: Client, archive: Callable[[], None]) -> None:
    for n in range(5):
        api.define("main", title=str(n), state="archived")
    api.admin.delete(BOARD)
    archive()
    titles, path = [], f"{BOARD}/revisions?limit=2"
    page = api.admin.get(path)
    while True:
        titles += [one["definition"]["title"] for one in page["revisions"]]
        if page["next_cursor"] is None:
            break
        page = api.admin.get(f"{path}&cursor={page['next_cursor']}")
    assert titles == list("43210")
    refused(api.admin.call("GET", "/v1/admin/boards/other/revisions"), 404, "board_not_found")


def test_a_board_whose_definition_is_not_archived_yet_has_no_revisions_yet(api: Client) -> None:
    api.define("main")
    page = api.admin.get(f"{BOARD}/revisions")
    assert page["revisions"] == []
    assert page["waiting"] > 0
