"""Outliers that the worker finds: what is raised, what becomes of it, and that nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.outlier_reviews import look_at
from leaderboard.rebuild import rebuild
from leaderboard.worker.drain import Drain
from tests.calls import unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store, assert_same, every_key, lasting
from tests.trust.outliers import HONEST, decide, fill, honest_scores, reviews


@pytest.fixture
def look(lb: Installation, drain: Drain) -> Any:
    """One look of a worker that has archived everything; says how many reviews it raised, and archives them."""

    def look(board: str = "main") -> int:
        while drain.step():
            pass
        raised = look_at(lb, board)
        while drain.step():
            pass
        return raised

    return look


def contents(raw: redis.Redis, drain: Drain, clock: SetClock) -> dict[str, Any]:
    while drain.step():
        pass
    return lasting(every_key(raw), clock.now_ms())


# -- finding -----------------------------------------------------------------------------------------------------------


def test_an_impossible_score_is_found_once_and_nobody_else(api: Client, lb: Installation, raw: redis.Redis, look: Any) -> None:
    fill(api, "review")
    assert look() == 0
    api.submit("cheat", 10**9, metadata={"a": 1})
    table = api.table()
    assert look() == 1
    assert look() == 0
    (review,) = reviews(api)
    assert (review["player"], review["score"], review["period_ids"]) == ("cheat", 10**9, ["all"])
    assert (review["state"], review["metadata"], review["verdict"]) == ("open", {"a": 1}, None)
    (broken,) = review["rules"]
    assert broken["rule"] == "outliers"
    assert broken["value"] == 6
    assert broken["seen"] > 20
    evidence = review["evidence"]
    assert evidence["entries"] == HONEST + 1
    assert not evidence["taken_out"]
    middle = sorted([*honest_scores(), 10**9])[HONEST // 2]
    assert evidence["median"] == middle
    assert max(honest_scores()) < evidence["limit"] < 10**9
    # Under review it stays where it is.
    assert api.table() == table
    assert api.admin.get(f"/v1/admin/reviews/{review['id']}")["history"][0]["score"] == 10**9
    assert_archive_is_store(lb.archive, raw)
