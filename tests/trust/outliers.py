"""A board with honest scores and one that nobody can have, for the tests of outliers."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.client import Client

HONEST = 60
REVIEWS = "/v1/admin/reviews"


def honest_scores(entries: int = HONEST, seed: int = 1) -> list[int]:
    """Of many different players, hundreds and thousands, the best some times what most have."""
    dice = Random(seed)
    return [round(dice.lognormvariate(6, 0.5)) for _ in range(entries)]


def fill(api: Client, then: str = "hold", *, scores: list[int] | None = None, board: str = "main", **more: Any) -> None:
    """Entries of p0, p1, … on a board of one all-time standings, unless told otherwise."""
    rules = {"rate": None, "outliers": {"then": then, "from_entries": 50} | more.pop("rule", {})}
    api.define(board, **{"periods": [{"kind": "alltime"}], "rules": rules} | more)
    scores = honest_scores() if scores is None else scores
    items = [{"board": board, "player": f"p{i}", "score": score} for i, score in enumerate(scores)]
    for first in range(0, len(items), 100):
        answer = api.server.post("/v1/submissions/batch", {"submissions": items[first : first + 100]})
        assert answer["failed"] == 0


def reviews(api: Client, **filters: str) -> list[Any]:
    query = "&".join(f"{name}={value}" for name, value in ({"rule": "outliers", "limit": "200"} | filters).items())
    found: list[Any] = api.admin.get(f"{REVIEWS}?{query}")["reviews"]
    return found


def decide(api: Client, review: str, decision: str, *, expect: int = 200) -> Any:
    return api.admin.post(f"{REVIEWS}/{review}/decision", {"decision": decision, "reason": "seen"}, expect=expect)
