"""What still waits in the journal when an archive is filled from the store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leaderboard.installation import Installation
from leaderboard.rebuild.archive import fill_archive
from tests.client import Client
from tests.keeping.contents import every_row
from tests.keeping.place import Place
from tests.keeping.refill.made import assert_it_is_all_there, at, lose_archive, on_sqlite
from tests.reviewing import HOLDS, REVIEWS

ALLTIME = [{"kind": "alltime"}]

#: An archive that was lost, and one that has everything and is filled anew.
how = pytest.mark.parametrize("lost", [True, False], ids=["lost", "replaced"])


def refill(lb: Installation, lost: bool, **progress: Any) -> None:
    if lost:
        lose_archive(lb)
    fill_archive(lb, replacing=not lost, progress=at(**progress))


def held_of(lb: Installation, player: str) -> str:
    """The id of the one review of a player."""
    (review,) = lb.store.read(("HKEYS", lb.keys.held(player)))[0]
    return str(review.decode())


# -- decisions -------------------------------------------------------------------------------------------------------


@how
@pytest.mark.parametrize("stage", ["looking_around", "entries"])
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_decision_is_not_forgotten(
    place: Place, lb: Installation, api: Client, stage: str, decision: str, lost: bool
) -> None:
    api.define("main", rules=HOLDS)
    for player in ("p1", "p2"):
        api.submit(player, 2000)
    api.submit("p3", 5)
    place.drain()
    reviews = [held_of(lb, player) for player in ("p1", "p2")]

    def decide(review: str) -> None:
        api.admin.post(f"{REVIEWS}/{review}/decision", {"decision": decision, "reason": "seen"})

    # The one waits in the journal, the other comes in between.
    decide(reviews[0])
    refill(lb, lost, **{stage: lambda: decide(reviews[1])})
    for review in reviews:
        place.drain()
        shown = api.admin.get(f"{REVIEWS}/{review}")
        assert (shown["score"], shown["state"]) == (2000, {"approve": "approved", "reject": "rejected"}[decision])
        assert "seen" in json.dumps(shown)
        # And can be taken back.
        api.admin.post(f"{REVIEWS}/{review}/decision", {"decision": "reopen"})
    assert_it_is_all_there(place, lb)


@on_sqlite
def test_who_reopened_a_review_is_not_forgotten(place: Place, lb: Installation, api: Client) -> None:
    api.define("main", rules=HOLDS)
    api.submit("p1", 2000)
    review = held_of(lb, "p1")
    api.admin.post(f"{REVIEWS}/{review}/decision", {"decision": "reject"})
    place.drain()
    api.admin.post(f"{REVIEWS}/{review}/decision", {"decision": "reopen", "reason": "a mistake"})
    place.drain()
    before = api.admin.get(f"{REVIEWS}/{review}")
    assert "a mistake" in json.dumps(before)
    refill(lb, lost=False)
    assert api.admin.get(f"{REVIEWS}/{review}") == before


# -- definitions -----------------------------------------------------------------------------------------------------


def redefined(api: Client) -> None:
    """Emptied, then defined otherwise."""
    api.admin.delete("/v1/admin/boards/main/entries/p1?reason=x")
    api.define("main", periods=ALLTIME, order="asc", decimals=2, tiebreaks=[{"name": "wins"}])


def deleted_and_made_anew(api: Client) -> None:
    api.admin.delete("/v1/admin/boards/main/entries/p1?reason=x")
    api.define("main", periods=ALLTIME, state="archived")
    api.admin.delete("/v1/admin/boards/main")
    api.define("main", periods=ALLTIME, order="asc", decimals=2, tiebreaks=[{"name": "wins"}])


@how
@on_sqlite
@pytest.mark.parametrize("becomes_another", [redefined, deleted_and_made_anew])
@pytest.mark.parametrize("when", ["before", "looking_around", "entries"])
def test_what_waits_is_read_by_the_definition_it_was_written_by(
    place: Place, lb: Installation, api: Client, lost: bool, becomes_another: Any, when: str
) -> None:
    api.define("other", periods=ALLTIME)
    api.submit("p2", 5, "other")
    api.define("main", periods=ALLTIME)
    place.drain()
    api.submit("p1", 5)

    def act() -> None:
        becomes_another(api)
        api.submit("p1", 1.5, tiebreaks={"wins": 3})

    if when == "before":
        act()
        refill(lb, lost)
    else:
        refill(lb, lost, **{when: act})
    place.drain()
    tables = lb.archive.tables
    submissions = [
        (row.score, row.decimals) for row in every_row(lb.archive, tables.submissions) if row.board == "main"
    ]
    # With the board that was deleted, what was submitted to it went.
    first = [] if becomes_another is deleted_and_made_anew else [(5, 0)]
    assert submissions == [*first, (150, 2)]
    (removed,) = [row for row in every_row(lb.archive, tables.audit) if row.operation == "delete_entry"]
    assert json.loads(removed.state_before)["score"] == 5
    assert_it_is_all_there(place, lb)
