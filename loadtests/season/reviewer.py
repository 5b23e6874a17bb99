"""An admin who looks at what is held once a day, and is always right: how good rules are, not how good people are."""

from __future__ import annotations

from collections import Counter
from typing import Any

from loadtests.season.acts import EARNED, Kind
from loadtests.season.service import ADMIN_KEY, Service

#: How many reviews one call decides on.
TOGETHER = 100
REVIEWS = "/v1/admin/reviews"


class Reviewer:
    """Approves what was played for, by whomever, and rejects the rest."""

    def __init__(self, service: Service) -> None:
        self._service = service
        #: (player, score) → whose kind of submission it is
        self._held: dict[tuple[str, int], Kind] = {}
        #: (kind, the rules that were broken) → submissions
        self.reasons: Counter[tuple[Kind, str]] = Counter()

    def note(self, player: str, score: int, kind: Kind) -> None:
        """That a submission was held."""
        self._held[player, score] = kind

    def review(self) -> None:
        """Decide on all that is held. Raises RuntimeError when the service is not well."""
        if not self._held:
            return
        self._service.archive_all()
        decisions: dict[str, list[str]] = {"approve": [], "reject": []}
        for review in self._open_reviews():
            kind = self._held[review["player"], review["score"]]
            self.reasons[kind, " + ".join(broken["rule"] for broken in review["rules"])] += 1
            decisions["approve" if kind in EARNED else "reject"].append(review["id"])
        for decision, reviews in decisions.items():
            for first in range(0, len(reviews), TOGETHER):
                body = {
                    "decision": decision,
                    "reviews": reviews[first : first + TOGETHER],
                    "reason": "the simulation knows",
                }
                answer = self._service.call("POST", f"{REVIEWS}/decisions", body, token=ADMIN_KEY)
                if answer["failed"]:
                    raise RuntimeError(f"{decision}: {answer['results']}")
        self._held.clear()

    def _open_reviews(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = self._service.call("GET", f"{REVIEWS}?limit=200{cursor}", token=ADMIN_KEY)
            found += answer["reviews"]
            if not answer["next_cursor"]:
                return found
            cursor = f"&cursor={answer['next_cursor']}"
