"""Reviews: what a rule held, for an admin to decide on (leaderboard/decisions.py).

They are listed from the archive, where decided ones stay; it follows the store within its lag.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Select, select, tuple_

from leaderboard.errors import Problem
from leaderboard.held import Changed, Held, read_changed, read_held
from leaderboard.privacy import KeptSubmission, merged_players, submissions_of
from leaderboard.rules import Layout, read_layout

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: So much of what the player submitted to the board is shown with a review.
HISTORY = 20


class ReviewState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Verdict:
    by: str
    reason: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Review:
    id: str
    player: str
    state: ReviewState
    held: Held
    #: Who decided, or opened it again; None before that.
    verdict: Verdict | None
    #: The held submission as it is packed, and what an approval changed.
    packed: bytes
    changed: list[Changed]

    @property
    def layout(self) -> Layout:
        return read_layout(self.held.layout)


def list_reviews(
    lb: Installation, *, state: ReviewState | None, board: str | None, player: str | None, rule: str | None,
    limit: int, after: tuple[int, str] | None,
) -> tuple[list[Review], tuple[int, str] | None]:  # fmt: skip
    """Reviews, oldest first, and where to go on; None at the end. Raises archive_unavailable."""
    reviews = lb.archive.tables.reviews.c
    query = select(lb.archive.tables.reviews).order_by(reviews.at_ms, reviews.review).limit(limit + 1)
    for column, wanted in ((reviews.state, state), (reviews.board, board), (reviews.player, player)):
        if wanted is not None:
            query = query.where(column == str(wanted))
    if rule is not None:
        query = query.where(reviews.rules.contains(f" {rule} ", autoescape=True))
    if after is not None:
        query = query.where(tuple_(reviews.at_ms, reviews.review) > tuple_(*after))
    found = _rows(lb, query)
    return found[:limit], (found[limit - 1].held.at_ms, found[limit - 1].id) if len(found) > limit else None


def get_review(lb: Installation, review: str) -> tuple[Review, list[KeptSubmission]]:
    """A review, and what its player submitted to the board lately, newest first. Raises review_not_found."""
    found = archived_review(lb, review)
    with lb.archive.read() as connection:
        own = [found.player, *merged_players(lb, connection, found.player)]
        return found, submissions_of(lb, connection, own, board=found.held.board, newest=HISTORY)


def archived_review(lb: Installation, review: str) -> Review:
    """A review. Raises review_not_found, archive_unavailable."""
    table = lb.archive.tables.reviews
    found = _rows(lb, select(table).where(table.c.review == review))
    if not found:
        raise Problem("review_not_found")
    return found[0]


def _rows(lb: Installation, query: Select[Any]) -> list[Review]:
    if not lb.archive.is_usable():
        return []
    with lb.archive.read() as connection:
        return [read_review(row) for row in connection.execute(query)]


def read_review(row: Any) -> Review:
    """From a row of the archive."""
    verdict = None
    if row.decision is not None:
        decision = orjson.loads(row.decision)
        verdict = Verdict(decision["by"], decision["reason"], decision["at_ms"])
    changed = read_changed(row.changed) if row.changed else []
    return Review(row.review, row.player, ReviewState(row.state), read_held(row.held), verdict, row.held, changed)
