"""What is final stays so, and what is not is not forgotten: whatever becomes of the board's periods meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from leaderboard.model import DAY_MS
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import show_instant

HOUR_MS = 3_600_000
ALLTIME = [{"kind": "alltime"}]


def daily(settle_delay_s: int = 3600, **more: Any) -> list[dict[str, Any]]:
    return [{"kind": "daily", "keep_days": 400, "settle_delay_s": settle_delay_s, **more}, *ALLTIME]


def day(api: Client, period_id: str = "current") -> list[tuple[int, str, Any]]:
    return api.table(query=f"&period=daily&period_id={period_id}")


@pytest.fixture
def noon(api: Client, clock: SetClock) -> None:
    """Two players have an entry in the day that runs."""
    clock.at_ms = clock.at_ms // DAY_MS * DAY_MS + DAY_MS // 2
    api.define(periods=daily())
    api.submit("alice", 5)
    api.submit("bob", 3)


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize("delay_s", [3600, 60, 40_000])
def test_a_ban_is_lifted_in_a_kind_that_is_off_the_board_for_now(api: Client, delay_s: int) -> None:
    api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "bot"})
    api.define(periods=ALLTIME)
    api.admin.delete("/v1/admin/players/alice/ban?reason=mistaken")
    api.define(periods=daily(delay_s))
    assert day(api) == [(1, "alice", 5), (2, "bob", 3)]


@pytest.mark.usefixtures("noon")
def test_a_player_is_banned_in_a_kind_that_is_off_the_board_for_now(api: Client) -> None:
    api.define(periods=ALLTIME)
    api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "bot"})
    api.define(periods=daily())
    assert day(api) == [(1, "bob", 3)]


@pytest.mark.usefixtures("noon")
def test_a_player_is_merged_in_a_kind_that_is_off_the_board_for_now(api: Client) -> None:
    api.define(periods=ALLTIME)
    api.server.post("/v1/players/alice/merge", {"into": "bob"})
    api.define(periods=daily())
    assert day(api) == [(1, "bob", 5)]


@pytest.mark.usefixtures("noon")
def test_a_player_is_erased_in_a_kind_that_is_off_the_board_for_now(api: Client) -> None:
    api.define(periods=ALLTIME)
    api.server.delete("/v1/players/alice")
    api.define(periods=daily())
    assert day(api) == [(1, "bob", 3)]


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize("meanwhile", [None, ALLTIME], ids=["longer", "off the board in between"])
def test_a_longer_delay_reopens_nothing(api: Client, clock: SetClock, meanwhile: list[dict[str, Any]] | None) -> None:
    noon_ms = clock.at_ms
    clock.at_ms += DAY_MS // 2 + HOUR_MS
    if meanwhile:
        api.define(periods=meanwhile)
        clock.at_ms += HOUR_MS
    api.define(periods=daily(DAY_MS // 1000), late_s=DAY_MS // 1000)
    page = api.get("/v1/boards/main/standings?period=daily&period_id=previous")
    assert page["state"] == "settled"
    # Not by an admin, not by a late score; what is hidden from now on, or goes, is not hidden there.
    corrected = f"/v1/admin/boards/main/entries/alice?period=daily&period_id={page['period_id']}"
    assert api.admin.put(corrected, {"score": 9, "reason": "x"}, expect=409)["code"] == "period_settled"
    late = api.submit("alice", 9, achieved_at=show_instant(noon_ms), expect=422)
    assert late["errors"][0]["code"] == "too_late"
    api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "bot"})
    assert day(api, page["period_id"]) == [(1, "alice", 5), (2, "bob", 3)]


@pytest.mark.usefixtures("noon")
def test_a_longer_delay_is_that_of_what_is_not_final_yet(api: Client, clock: SetClock) -> None:
    noon_ms = clock.at_ms
    # One millisecond before it would be final.
    clock.at_ms += DAY_MS // 2 + HOUR_MS - 1
    api.define(periods=daily(DAY_MS // 1000), late_s=DAY_MS // 1000)
    clock.at_ms += 2 * HOUR_MS
    page = api.get("/v1/boards/main/standings?period=daily&period_id=previous")
    assert page["state"] == "closing"
    api.submit("alice", 9, achieved_at=show_instant(noon_ms))
    assert day(api, page["period_id"]) == [(1, "alice", 9), (2, "bob", 3)]


def test_a_season_that_is_final_stays_so(api: Client, clock: SetClock) -> None:
    api.define(periods=[{"kind": "season", "settle_delay_s": 60}])
    api.submit("alice", 5)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    clock.pass_ms(60_000)
    api.define(periods=[{"kind": "season", "settle_delay_s": 3600}])
    assert api.get("/v1/boards/main/standings?period_id=s1")["state"] == "settled"
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s2"})
    clock.pass_ms(60_000)
    assert api.get("/v1/boards/main/standings?period_id=s2")["state"] == "closing"
