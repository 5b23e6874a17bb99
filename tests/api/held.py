"""A board that holds what is above 1000, and what is played on it."""

from __future__ import annotations

from typing import Any

from leaderboard.api.fields import Instant
from leaderboard.model import DAY_MS
from tests.client import Client
from tests.conftest import SetClock
from tests.reviewing import HOLDS, Desk

TIEBREAKS = [{"name": "wins"}, {"name": "losses", "order": "asc"}]
WEEKLY = {"kind": "weekly", "settle_delay_s": DAY_MS // 1000}
PERIODS = [{"kind": "alltime"}, WEEKLY, {"kind": "season"}]


def define(api: Client, held: bool = True, **definition: Any) -> None:
    rules = HOLDS if held else {"rate": None}
    api.define("main", **{"periods": PERIODS, "tiebreaks": TIEBREAKS, "rules": rules} | definition)


def hold(api: Client, desk: Desk, player: str = "alice", score: int = 2000, **more: Any) -> str:
    """Submit what is held; the id of its review."""
    before = [review["id"] for review in desk.list(f"&player={player}")]
    assert api.submit(player, score, **more)["outcome"] == "held"
    (review,) = (review["id"] for review in desk.list(f"&player={player}") if review["id"] not in before)
    return str(review)


def play(clock: SetClock, *apis: Client, scores: tuple[int, ...] = (700, 500, 700)) -> None:
    """The same on each."""
    for score in scores:
        for player in ("alice", "bob", "carol"):
            clock.pass_ms(7)
            for api in apis:
                api.submit(player, score, tiebreaks={"wins": 1}, metadata={"n": score})


def end_of_week(api: Client, week: str) -> int:
    ends_at = api.get("/v1/boards/main/standings?period=weekly")["ends_at"]
    assert api.get("/v1/boards/main/standings?period=weekly")["period_id"] == week
    return int(Instant().deserialize(ends_at))
