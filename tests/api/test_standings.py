"""Reading standings: pages, neighbours, periods and what is no longer kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import SetClock

DAY_MS = 86_400_000


def fill(api: Client, scores: list[int], **definition: Any) -> None:
    """Players p0, p1, … with these scores, each a millisecond after the other."""
    api.define("main", **definition)
    items = [{"board": "main", "player": f"p{i}", "score": score} for i, score in enumerate(scores)]
    assert api.server.post("/v1/submissions/batch", {"submissions": items})["failed"] == 0


def ids(page: Any) -> list[str]:
    return [entry["player"]["id"] for entry in page["entries"]]


def test_an_empty_standings_is_an_empty_page(api: Client) -> None:
    api.define("main")
    page = api.get("/v1/boards/main/standings")
    assert page["entries"] == []
    assert (page["total"], page["next_cursor"], page["prev_cursor"]) == (0, None, None)
    assert page["state"] == "open"


@pytest.mark.parametrize(
    ("ties", "ranks"), [("ordinal", [1, 2, 3, 4]), ("competition", [1, 1, 1, 4]), ("dense", [1, 1, 1, 2])]
)
def test_ties_number_ranks_and_never_change_the_order(api: Client, ties: str, ranks: list[int]) -> None:
    fill(api, [7, 7, 7, 5], ties=ties)
    # score  player      ordinal  competition  dense
    #     7  p0 p1 p2      1 2 3        1 1 1  1 1 1
    #     5  p3                4            4      2
    assert api.table() == [
        (rank, f"p{i}", score) for i, (rank, score) in enumerate(zip(ranks, [7, 7, 7, 5], strict=True))
    ]
    assert [api.get(f"/v1/boards/main/standings/p{i}")["entry"]["rank"] for i in range(4)] == ranks
    assert [e["rank"] for e in api.get("/v1/boards/main/standings?offset=2")["entries"]] == ranks[2:]


def test_cursors_lead_forwards_and_back(api: Client) -> None:
    fill(api, [50, 40, 30, 20, 10])
    first = api.get("/v1/boards/main/standings?limit=2")
    second = api.get(f"/v1/boards/main/standings?limit=2&cursor={first['next_cursor']}")
    third = api.get(f"/v1/boards/main/standings?limit=2&cursor={second['next_cursor']}")
    assert [ids(page) for page in (first, second, third)] == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert third["next_cursor"] is None
    assert first["prev_cursor"] is None
    assert ids(api.get(f"/v1/boards/main/standings?limit=2&cursor={third['prev_cursor']}")) == ["p2", "p3"]
    assert ids(api.get(f"/v1/boards/main/standings?limit=5&cursor={second['prev_cursor']}")) == ["p0", "p1"]


def test_a_cursor_stays_on_its_week(api: Client, clock: SetClock) -> None:
    fill(api, [3, 2, 1])
    page = api.get("/v1/boards/main/standings?period=weekly&limit=1")
    clock.pass_ms(7 * DAY_MS)
    following = api.get(f"/v1/boards/main/standings?period=weekly&limit=1&cursor={page['next_cursor']}")
    assert following["period_id"] == page["period_id"]
    assert ids(following) == ["p1"]
    path = f"/v1/boards/main/standings?period_id=s1&cursor={page['next_cursor']}"
    assert api.get(path, expect=422)["errors"][0]["pointer"] == "?period_id"


def test_around_keeps_its_size_at_the_edges(api: Client) -> None:
    fill(api, [90, 80, 70, 60, 50, 40, 30])
    around = {i: ids(api.get(f"/v1/boards/main/standings/p{i}/around?limit=3")) for i in (0, 1, 3, 5, 6)}
    assert around == {
        0: ["p0", "p1", "p2"],
        1: ["p0", "p1", "p2"],
        3: ["p2", "p3", "p4"],
        5: ["p4", "p5", "p6"],
        6: ["p4", "p5", "p6"],
    }
    assert len(ids(api.get("/v1/boards/main/standings/p3/around?limit=101"))) == 7


def test_around_a_score_nobody_has(api: Client) -> None:
    fill(api, [90, 80, 70, 60, 50])
    assert ids(api.get("/v1/boards/main/standings?around_score=75&limit=2")) == ["p1", "p2"]
    assert ids(api.get("/v1/boards/main/standings?around_score=1000&limit=2")) == ["p0", "p1"]
    assert ids(api.get("/v1/boards/main/standings?around_score=-5&limit=2")) == ["p3", "p4"]


def test_percentile_is_100_for_the_best_and_0_for_the_worst(api: Client) -> None:
    fill(api, [5, 4, 3])
    assert [api.get(f"/v1/boards/main/standings/p{i}")["percentile"] for i in range(3)] == [100, 50, 0]
    api.define("alone")
    api.submit("solo", 0, "alone")
    assert api.get("/v1/boards/alone/standings/solo")["percentile"] == 100


def test_lookup_answers_in_the_order_asked_for_and_names_who_is_missing(api: Client) -> None:
    fill(api, [5, 4, 3])
    answer = api.post("/v1/boards/main/lookup", {"players": ["p2", "nobody", "p0", "p2"]})
    assert ids(answer) == ["p2", "p0"]
    assert answer["not_found"] == ["nobody"]
    api.post("/v1/boards/main/lookup", {"players": ["x"] * 201}, expect=422)


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_a_distribution_counts_every_entry_once(api: Client, order: str) -> None:
    fill(api, [-3, 0, 0, 4, 10], order=order)
    answer = api.get("/v1/boards/main/distribution?buckets=2")
    assert answer["buckets"] == [{"low": -3, "high": 3, "count": 3}, {"low": 4, "high": 10, "count": 2}]
    assert api.get("/v1/boards/main/distribution?buckets=100")["total"] == 5


def test_a_distribution_of_equal_scores_is_one_bucket(api: Client) -> None:
    fill(api, [7, 7])
    assert api.get("/v1/boards/main/distribution")["buckets"] == [{"low": 7, "high": 7, "count": 2}]


def test_periods_are_named_previous_current_and_by_id(api: Client, clock: SetClock) -> None:
    clock.at_ms = int(datetime(2027, 1, 3, 23, 59, 59, 999000, tzinfo=UTC).timestamp() * 1000)
    api.define("main", periods=[{"kind": "weekly"}, {"kind": "daily"}, {"kind": "monthly"}, {"kind": "season"}])
    api.submit("alice", 1)
    clock.pass_ms(1)
    api.submit("bob", 2)
    # 2027-01-03 is the last day of 2026-W53.
    assert api.table(query="&period_id=2026-W53") == [(1, "alice", 1)]
    assert api.table(query="&period_id=2027-W01") == [(1, "bob", 2)]
    assert api.table(query="&period=weekly&period_id=previous") == [(1, "alice", 1)]
    assert api.table(query="&period=weekly&period_id=current") == [(1, "bob", 2)]
    assert api.table(query="&period=daily&period_id=previous") == [(1, "alice", 1)]
    assert api.table(query="&period_id=2027-01-04") == [(1, "bob", 2)]
    assert api.table(query="&period_id=2027-01") == [(1, "bob", 2), (2, "alice", 1)]
    assert api.get("/v1/boards/main/standings?period_id=2026-W53")["state"] == "closing"
    listed = api.get("/v1/boards/main/periods?period=weekly")["periods"]
    assert [(p["period_id"], p["state"], p["total"]) for p in listed] == [
        ("2027-W01", "open", 1),
        ("2026-W53", "closing", 1),
    ]
    clock.pass_ms(3600_000)
    assert api.get("/v1/boards/main/standings?period_id=2026-W53")["state"] == "settled"


def test_a_period_that_is_no_longer_kept_is_gone_and_one_to_come_is_not_found(api: Client, clock: SetClock) -> None:
    clock.at_ms = int(datetime(2027, 6, 2, 12, tzinfo=UTC).timestamp() * 1000)
    api.define("main", periods=[{"kind": "daily", "keep_days": 2}])
    path = "/v1/boards/main/standings?period_id="
    assert api.get(path + "2027-05-31")["entries"] == []
    assert api.get(path + "2027-05-30", expect=410)["code"] == "period_gone"
    assert api.get(path + "2027-06-03", expect=404)["code"] == "period_not_found"
    assert api.get(path + "2027-W01", expect=404)["code"] == "period_not_found"
    assert api.get(path + "2027-02-30", expect=404)["code"] == "period_not_found"
    assert api.get(path + "yesterday", expect=422)["code"] == "invalid"


def test_seasons_are_listed_newest_first_and_closed_ones_stay(api: Client, clock: SetClock, raw: Any) -> None:
    api.define("main")
    for season in ("s1", "s2"):
        api.submit("alice", 1)
        clock.pass_ms(1000)
        api.admin.post("/v1/admin/boards/main/reset", {"season": season})
    listed = api.get("/v1/boards/main/periods")["periods"]
    assert [(p["period_id"], p["total"], p["state"]) for p in listed] == [
        ("s3", 0, "open"),
        ("s2", 1, "closing"),
        ("s1", 1, "closing"),
    ]
    assert listed[1]["ends_at"] == listed[0]["starts_at"]
    assert raw.pttl("lb:{0}:order:main:s1") == -1
    page = api.get("/v1/boards/main/periods?limit=1")
    assert api.get(f"/v1/boards/main/periods?limit=1&cursor={page['next_cursor']}")["periods"][0]["period_id"] == "s2"


def test_a_season_with_keep_days_expires_after_its_reset(api: Client, clock: SetClock, raw: Any) -> None:
    api.define("main", periods=[{"kind": "season", "keep_days": 5}])
    api.submit("alice", 1)
    assert raw.pttl("lb:{0}:order:main:s1") == -1
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    for key in ("order", "entries"):
        assert raw.pexpiretime(f"lb:{{0}}:{key}:main:s1") == clock.now_ms() + 5 * DAY_MS


def test_names_are_as_they_are_now_not_as_they_were(api: Client) -> None:
    api.define("main")
    api.server.put("/v1/players/alice", {"display_name": "Alice", "country": "DE"}, expect=201)
    api.submit("alice", 1)
    alice = api.player("alice")
    alice.patch("/v1/players/me", {"display_name": "Älïce"})
    entry = api.get("/v1/boards/main/standings")["entries"][0]
    assert entry["player"] == {"id": "alice", "display_name": "Älïce", "avatar_url": None, "country": "de"}


def test_an_admin_corrects_and_removes_entries(api: Client, clock: SetClock) -> None:
    fill(api, [50, 40, 30])
    path = "/v1/admin/boards/main/entries/p0"
    api.define("main", state="frozen")
    answer = api.admin.put(path, {"score": 35, "reason": "counted twice"})
    assert (answer["entry"]["rank"], answer["entry"]["score"]) == (2, 35)
    assert [player for _, player, _ in api.table(query="&period=weekly")] == ["p0", "p1", "p2"]
    api.admin.delete(f"{path}?reason=cheat")
    assert api.admin.delete(f"{path}?reason=cheat", expect=404)["code"] == "entry_not_found"
    api.admin.delete(path, expect=422)
    assert [player for _, player, _ in api.table()] == ["p1", "p2"]
    clock.pass_ms(15 * DAY_MS)
    problem = api.admin.delete(f"{path}?period=weekly&period_id=previous&reason=x", expect=409)
    assert problem["code"] == "period_settled"


def test_answers_say_when_nothing_changed(api: Client) -> None:
    fill(api, [1])
    response = api.call("GET", "/v1/boards/main/standings")
    etag = response.headers["ETag"]
    again = api.call("GET", "/v1/boards/main/standings", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    api.submit("p0", 2)
    assert api.call("GET", "/v1/boards/main/standings", headers={"If-None-Match": etag}).status_code == 200
