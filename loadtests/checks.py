"""What is true of every answer, however busy the service is. A check returns what is wrong, or None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Best scores by period id: what a player knows of itself.
Bests = Mapping[str, int]


def submission(answer: Mapping[str, Any], player: str, bests: Bests) -> str | None:
    """`bests` holds the submitted score already. Only the player changes its entries, so they must agree exactly."""
    if answer["player"] != player:
        return f"submitted for {answer['player']}, not {player}"
    standings = answer["standings"]
    if (answer["outcome"] == "applied") != any(standing["changed"] for standing in standings):
        return f"{answer['outcome']} does not fit what changed"
    for standing in standings:
        period_id, rank, before = standing["period_id"], standing["rank"], standing["previous_rank"]
        if standing["score"] != bests[period_id]:
            return f"{period_id} has {standing['score']}, not the best of {bests[period_id]}"
        if rank is None or rank < 1 or (before is not None and rank > before):
            return f"{period_id}: from rank {before} to rank {rank}"
    return None


def repeat(first: Mapping[str, Any], second: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """The answer to a submission that was sent again with its Idempotency-Key."""
    if headers.get("Idempotent-Replayed") != "true":
        return "a repeat was taken for something new"
    if first["outcome"] != second["outcome"]:
        return f"first {first['outcome']}, then {second['outcome']}"
    return None


def page(answer: Mapping[str, Any], limit: int) -> str | None:
    """A page of a board that numbers ranks 1, 2, 3 and ranks high scores first."""
    entries = answer["entries"]
    if len(entries) > limit:
        return f"{len(entries)} entries where {limit} were asked for"
    if not _consecutive([entry["rank"] for entry in entries]):
        return "ranks are not consecutive"
    places = [(-entry["score"], entry["achieved_at"]) for entry in entries]
    if places != sorted(places):
        return "entries are not in order"
    if len({entry["player"]["id"] for entry in entries}) < len(entries):
        return "a player is there twice"
    if entries and entries[-1]["rank"] > answer["total"]:
        return f"rank {entries[-1]['rank']} of {answer['total']}"
    return None


def top(answer: Mapping[str, Any], limit: int) -> str | None:
    entries = answer["entries"]
    if len(entries) != min(limit, answer["total"]):
        return f"{len(entries)} entries of {answer['total']}"
    if entries and entries[0]["rank"] != 1:
        return f"the top begins at rank {entries[0]['rank']}"
    return page(answer, limit)


def next_page(before: Mapping[str, Any], answer: Mapping[str, Any], limit: int) -> str | None:
    """The page that a cursor led to: all of it comes after the last entry of the page before."""
    if answer["period_id"] != before["period_id"]:
        return f"the cursor went from {before['period_id']} to {answer['period_id']}"
    if answer["entries"]:
        last, first = before["entries"][-1], answer["entries"][0]
        if (-first["score"], first["achieved_at"]) < (-last["score"], last["achieved_at"]):
            return "the next page begins before the last one ended"
    return page(answer, limit)


def around(answer: Mapping[str, Any], player: str, bests: Bests, limit: int) -> str | None:
    entries, total = answer["entries"], answer["total"]
    places = [index for index, entry in enumerate(entries) if entry["player"]["id"] == player]
    if len(places) != 1:
        return f"the player is there {len(places)} times"
    own, half = entries[places[0]], limit // 2
    if len(entries) != min(limit, total):
        return f"{len(entries)} entries of {total}"
    if half < own["rank"] <= total - half and places[0] != half:
        return f"the player is number {places[0] + 1} of {len(entries)}"
    if own["score"] != bests.get(answer["period_id"]):
        return f"own score {own['score']}, not {bests.get(answer['period_id'])}"
    return page(answer, limit)


def friends(answer: Mapping[str, Any], player: str, own: int | None) -> str | None:
    """`own`: the player's best in that period, None where it has none. Friends keep playing meanwhile."""
    entries = answer["entries"]
    if not _consecutive([entry["rank"] for entry in entries]) or (entries and entries[0]["rank"] != 1):
        return "ranks among friends are not 1, 2, 3"
    scores = [entry["score"] for entry in entries if entry["player"]["id"] == player]
    if scores != ([] if own is None else [own]):
        return f"own scores {scores}, not {own}"
    return None


def batch(answer: Mapping[str, Any], size: int) -> str | None:
    if answer["failed"]:
        errors = [result["error"]["code"] for result in answer["results"] if result["error"]]
        return f"{answer['failed']} items failed: {sorted(set(errors))}"
    if sum(answer[outcome] for outcome in ("applied", "kept", "held", "failed")) != size:
        return f"the counts do not add up to {size}"
    if [result["index"] for result in answer["results"]] != list(range(size)):
        return "the results are not one for each item, in order"
    return None


def same_batch(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """A batch that was sent again with its Idempotency-Key: every item as the first time."""
    outcomes = [[result["outcome"] for result in answer["results"]] for answer in (first, second)]
    return None if outcomes[0] == outcomes[1] else "a repeated batch came out differently"


def _consecutive(ranks: Sequence[int]) -> bool:
    return not ranks or list(ranks) == list(range(ranks[0], ranks[0] + len(ranks)))
