"""What a submission answers, what it leaves behind, and how exact it is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import redis

from tests.calls import SUBMISSIONS, send, submission, unchanged
from tests.client import Client
from tests.oracle import LIMIT


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    return api


def places(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["period"], one["rank"], one["previous_rank"], one["changed"]) for one in result["standings"]]


def test_it_answers_the_ranks_before_and_after_in_each_standings(board: Client) -> None:
    assert places(board.submit("alice", 10)) == [("season", 1, None, True), ("weekly", 1, None, True)]
    assert places(board.submit("bob", 20)) == [("season", 1, None, True), ("weekly", 1, None, True)]
    assert places(board.submit("alice", 5)) == [("season", 2, 2, False), ("weekly", 2, 2, False)]
    assert places(board.submit("alice", 30)) == [("season", 1, 2, True), ("weekly", 1, 2, True)]
    board.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    # A worse one counts in the new season, and is kept out of the week.
    result = board.submit("alice", 15)
    assert places(result) == [("season", 1, None, True), ("weekly", 1, 1, False)]
    assert [one["score"] for one in result["standings"]] == [15, 30]
    assert result["outcome"] == "applied"


def test_it_is_kept_when_it_changes_nothing_anywhere(board: Client) -> None:
    board.submit("alice", 10)
    for score in (10, 9, -1):
        result = board.submit("alice", score)
        assert result["outcome"] == "kept"
        assert [one["score"] for one in result["standings"]] == [10, 10]


def test_it_says_where_it_counted_and_until_when(board: Client) -> None:
    result = board.submit("alice", 10)
    current = {one["period"]: one for one in board.get("/v1/boards/main")["current"]}
    for one in result["standings"]:
        assert (one["period_id"], one["ends_at"]) == (
            current[one["period"]]["period_id"],
            current[one["period"]]["ends_at"],
        )
    assert (result["board"], result["player"]) == ("main", "alice")


def test_ranks_can_be_left_out(board: Client) -> None:
    result = board.server.post(f"{SUBMISSIONS}?ranks=false", {"player": "alice", "score": 10})
    for one in result["standings"]:
        assert not {"rank", "previous_rank"} & set(one)
        assert (one["score"], one["changed"]) == (10, True)


@pytest.mark.parametrize(("ties", "ranks"), [("ordinal", [1, 2, 3]), ("competition", [1, 1, 3]), ("dense", [1, 1, 2])])
def test_its_rank_is_the_rank_of_the_page(api: Client, ties: str, ranks: list[int]) -> None:
    api.define(ties=ties)
    scores = {"alice": 20, "bob": 20, "carol": 10}
    for player in scores:
        api.submit(player, 1)
    answered = [api.submit(player, score)["standings"][0] for player, score in scores.items()]
    # In order: alice passes all, bob draws level, carol ends last.
    assert [one["rank"] for one in answered] == ranks
    assert [rank for rank, _, _ in api.table()] == ranks


def test_zero_is_a_score(api: Client) -> None:
    api.define("main", policy="best")
    api.define("sums", policy="sum")
    for board in ("main", "sums"):
        assert places(api.submit("alice", 0, board))[0] == ("season", 1, None, True)
        assert places(api.submit("bob", -1, board))[0] == ("season", 2, None, True)
        assert api.table(board) == [(1, "alice", 0), (2, "bob", -1)]
    # One point more and one less than nothing.
    assert api.submit("alice", 0, "sums")["outcome"] == "kept"
    api.submit("bob", 1, "sums")
    assert {player: score for _, player, score in api.table("sums")} == {"alice": 0, "bob": 0}


def test_metadata_may_be_a_kilobyte(board: Client) -> None:
    metadata = {"text": "x" * (1024 - len('{"text":""}'))}
    assert len(orjson.dumps(metadata)) == 1024
    board.submit("alice", 10, metadata=metadata)
    assert board.get("/v1/boards/main/standings/alice")["entry"]["metadata"] == metadata
    metadata["text"] += "x"
    problem = board.submit("alice", 20, expect=422, metadata=metadata)
    assert problem["errors"][0]["pointer"] == "/metadata"
    # Bytes count, not characters.
    board.submit("alice", 20, expect=422, metadata={"text": "é" * 510})
    assert board.table() == [(1, "alice", 10)]


def test_metadata_comes_back_as_it_was(board: Client) -> None:
    metadata = {"": None, "a": [1, -1.5, True, "é\U0001f600\u2028"], "b": {"c": {}}, "n": 2**53, "z": 0.1}
    board.submit("alice", 10, metadata=metadata)
    assert board.get("/v1/boards/main/standings/alice")["entry"]["metadata"] == metadata


def test_metadata_goes_with_the_submission_that_is_kept(board: Client) -> None:
    board.submit("alice", 10, metadata={"run": 1})
    board.submit("alice", 5, metadata={"run": 2})
    assert board.get("/v1/boards/main/standings/alice")["entry"]["metadata"] == {"run": 1}
    board.submit("alice", 20)
    assert board.get("/v1/boards/main/standings/alice")["entry"]["metadata"] is None


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("decimals", range(7))
def test_scores_are_exact_at_both_ends_with_any_number_of_places(api: Client, order: str, decimals: int) -> None:
    api.define("main", order=order, decimals=decimals)

    def send_score(player: str, score: str) -> Any:
        return send(api, "POST", SUBMISSIONS, submission(player=f'"{player}"', score=score))

    scaled = [LIMIT, LIMIT - 1, LIMIT // 3, 1, 0, -1, -(LIMIT // 3), -(LIMIT - 1), -LIMIT]
    for i, number in enumerate(scaled):
        answer = send_score(f"p{i}", written(number, decimals))
        assert answer.status_code == 200, answer.text
    if order == "asc":
        scaled.reverse()
    table = api.call("GET", "/v1/boards/main/standings").text
    # As text: what a parser makes of it is the parser's affair, but these are the digits that were sent.
    found = [part.partition(",")[0] for part in table.split('"score":')[1:]]
    assert [as_scaled(text, decimals) for text in found] == scaled
    if decimals == 0:
        assert not [text for text in found if "." in text or "e" in text]
    for number in (LIMIT + 1, -LIMIT - 1):
        assert send_score("p0", written(number, decimals)).status_code == 422
    assert send_score("p0", "0." + "0" * decimals + "1").status_code == 422


def written(scaled: int, decimals: int) -> str:
    digits = f"{abs(scaled):0{decimals + 1}}"
    text = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    return f"-{text}" if scaled < 0 else text


def as_scaled(text: str, decimals: int) -> int:
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction += "0" * (decimals - len(fraction) + int(exponent or 0))
    number = int(whole + fraction)
    if exponent:
        # 1e-6 and the like.
        number = round(float(text) * 10**decimals)
    return number


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_that_would_leave_the_range_changes_nothing_anywhere(api: Client, raw: redis.Redis, sign: int) -> None:
    api.define("main", policy="sum", tiebreaks=[{"name": "wins"}])
    api.submit("alice", sign * (LIMIT - 5))
    # The new season has room, but the week has not: it counts in both or in neither.
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    api.submit("alice", sign * 5)
    with unchanged(raw):
        problem = api.submit("alice", sign, expect=422)
        assert (problem["code"], problem["errors"][0]["pointer"]) == ("score_out_of_range", "/score")
    api.submit("alice", 0, tiebreaks={"wins": sign * LIMIT})
    with unchanged(raw):
        problem = api.submit("alice", 0, expect=422, tiebreaks={"wins": sign})
        assert problem["errors"][0]["pointer"] == "/tiebreaks/wins"
    assert api.table(query="&period=weekly") == [(1, "alice", sign * LIMIT)]


def test_sums_of_decimals_are_exact(api: Client) -> None:
    api.define("main", policy="sum", decimals=1)
    for _ in range(10):
        api.submit("alice", 0.1)
    # In doubles this would be 0.9999999999999999.
    assert '"score":1.0,' in api.call("GET", "/v1/boards/main/standings").text
