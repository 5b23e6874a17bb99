"""What a submission answers, what it refuses, and how exact it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import redis

from tests.client import Client
from tests.conftest import SetClock

SUBMISSIONS = "/v1/boards/main/submissions"
LIMIT = 10**15 - 1
HOUR_MS = 3_600_000


def instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def at_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def week(api: Client) -> dict[str, Any]:
    return {one["period"]: one for one in api.get("/v1/boards/main")["current"]}["weekly"]


def places(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["period"], one["rank"], one["previous_rank"], one["changed"]) for one in result["standings"]]


def contents(raw: redis.Redis) -> dict[bytes, bytes | None]:
    return {key: raw.dump(key) for key in raw.scan_iter("lb:*", count=1000)}


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    return api


# -- the answer ------------------------------------------------------------------------------------------------------


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


# -- what it expects -------------------------------------------------------------------------------------------------


def test_what_it_expects_must_be_so(board: Client, raw: redis.Redis, clock: SetClock) -> None:
    this_week = week(board)["period_id"]
    met = {"weekly": this_week, "season": "s1"}
    board.server.post(SUBMISSIONS, {"player": "alice", "score": 10, "expect": met})
    before = contents(raw)
    for expect in ({"weekly": "2020-W01"}, {"season": "s2"}, {"season": "s1", "weekly": "2020-W01"}):
        answer = board.server.call("POST", SUBMISSIONS, {"player": "alice", "score": 20, "expect": expect})
        assert (answer.status_code, answer.get_json()["code"]) == (409, "period_over")
        assert answer.get_json()["current"] == {"season": "s1", "weekly": this_week}
    assert contents(raw) == before


def test_the_first_millisecond_of_a_week_is_no_longer_the_week_before(board: Client, clock: SetClock) -> None:
    this_week = week(board)
    body = {"player": "alice", "score": 10, "expect": {"weekly": this_week["period_id"]}}
    clock.at_ms = at_ms(this_week["ends_at"]) - 1
    assert board.server.post(SUBMISSIONS, body)["standings"][1]["period_id"] == this_week["period_id"]
    clock.pass_ms(1)
    assert board.server.post(SUBMISSIONS, body | {"score": 20}, expect=409)["code"] == "period_over"
    assert board.submit("alice", 5)["standings"][1]["period_id"] != this_week["period_id"]
    assert board.table(query="&period=weekly&period_id=previous") == [(1, "alice", 10)]
    assert board.table(query="&period=weekly") == [(1, "alice", 5)]


def test_a_season_that_was_reset_meanwhile_is_not_the_expected_one(board: Client) -> None:
    board.submit("alice", 10)
    board.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    body = {"player": "alice", "score": 20, "expect": {"season": "s1"}}
    assert board.server.post(SUBMISSIONS, body, expect=409)["current"]["season"] == "s2"
    assert board.table() == []


# -- when it was achieved --------------------------------------------------------------------------------------------


def test_when_it_was_achieved_is_within_the_boards_limits(board: Client, clock: SetClock, raw: redis.Redis) -> None:
    now = clock.at_ms
    before = contents(raw)
    for at, code in ((now - 3_600_001, "too_late"), (now + 1001, "in_future"), (now + HOUR_MS, "in_future")):
        problem = board.submit("alice", 10, expect=422, achieved_at=instant(at))
        assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == ("/achieved_at", code)
    assert contents(raw) == before
    board.submit("alice", 10, achieved_at=instant(now - 3_600_000))
    assert board.get("/v1/boards/main/standings/alice")["entry"]["achieved_at"] == instant(now - 3_600_000)
    # A server's clock may be a little ahead; then it is now.
    board.submit("bob", 10, achieved_at=instant(now + 1000))
    assert board.get("/v1/boards/main/standings/bob")["entry"]["achieved_at"] == instant(now)


def test_a_late_score_counts_in_the_week_it_was_achieved_in(board: Client, clock: SetClock) -> None:
    ending = week(board)
    end = at_ms(ending["ends_at"])
    clock.at_ms = end + HOUR_MS - 1
    result = board.submit("alice", 10, achieved_at=instant(end - 1))
    assert result["standings"][1]["period_id"] == ending["period_id"]
    assert board.table(query=f"&period_id={ending['period_id']}") == [(1, "alice", 10)]
    assert board.table(query="&period=weekly") == []
    # Seasons have no calendar: it counts in the one that runs.
    assert board.table() == [(1, "alice", 10)]
    # In the next millisecond the week's last one is too old: late scores end where the week may be settled.
    clock.pass_ms(1)
    clock.pass_ms(1)
    board.submit("bob", 10, expect=422, achieved_at=instant(end - 1))


def test_an_earlier_achievement_of_the_same_score_comes_first(board: Client, clock: SetClock) -> None:
    board.submit("alice", 10)
    board.submit("bob", 10, achieved_at=instant(clock.at_ms - 1))
    assert board.table() == [(1, "bob", 10), (2, "alice", 10)]
    # Whatever the order of arrival: alice did it a millisecond before that.
    board.submit("alice", 10, achieved_at=instant(clock.at_ms - 2))
    assert board.table() == [(1, "alice", 10), (2, "bob", 10)]
    clock.pass_ms(1000)
    assert board.submit("alice", 10)["outcome"] == "kept"
    assert board.table() == [(1, "alice", 10), (2, "bob", 10)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize(("policy", "score"), [("best", 30), ("latest", 20), ("sum", 60)])
def test_the_outcome_does_not_depend_on_the_order_of_arrival(
    api: Client, clock: SetClock, order: tuple[int, ...], policy: str, score: int
) -> None:
    api.define("main", policy=policy)
    submissions = [(10, 3000), (30, 2000), (20, 1000)]
    for i in order:
        given, age_ms = submissions[i]
        api.submit("alice", given, achieved_at=instant(clock.at_ms - age_ms))
    assert api.table() == [(1, "alice", score)]
    expected = {"best": 2000, "latest": 1000, "sum": 1000}[policy]
    entry = api.get("/v1/boards/main/standings/alice")["entry"]
    assert entry["achieved_at"] == instant(clock.at_ms - expected)


@pytest.mark.parametrize(
    "written",
    ["2026-11-22T12:00:00+01:00", "2026-11-22T11:00:00Z", "2026-11-22t11:00:00.000z", "2026-11-22T11:00:00.000000000Z"],
)
def test_an_instant_is_the_same_in_any_zone(api: Client, clock: SetClock, written: str) -> None:
    clock.at_ms = at_ms("2026-11-22T11:00:00Z")
    api.define("main", periods=[{"kind": "season"}])
    api.submit("alice", 10, achieved_at=written)
    assert api.get("/v1/boards/main/standings/alice")["entry"]["achieved_at"] == "2026-11-22T11:00:00.000Z"


# -- metadata --------------------------------------------------------------------------------------------------------


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


# -- how often -------------------------------------------------------------------------------------------------------


def rate(answer: Any) -> tuple[str, str]:
    return answer.headers["RateLimit"], answer.headers["RateLimit-Policy"]


def test_too_many_submissions_are_told_when_to_come_again(board: Client, clock: SetClock) -> None:
    alice, bob = board.player("alice"), board.player("bob")
    policy = '"submissions";q=10;w=10'
    for i in range(10):
        answer = alice.call("POST", SUBMISSIONS, {"score": i})
        assert answer.status_code == 200
        assert rate(answer) == (f'"submissions";r={9 - i};t={i + 1}', policy)
    refused = alice.call("POST", SUBMISSIONS, {"score": 99})
    assert (refused.status_code, refused.get_json()["code"]) == (429, "rate_limited")
    assert rate(refused) == ('"submissions";r=0;t=10', policy)
    assert refused.headers["Retry-After"] == "1"
    assert board.table() == [(1, "alice", 9)]
    # Others go on, and so does the server for the same player, without a limit or a word of one.
    assert bob.call("POST", SUBMISSIONS, {"score": 1}).status_code == 200
    for i in range(20):
        answer = board.server.call("POST", SUBMISSIONS, {"player": "alice", "score": 10 + i})
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers
    # Just before the time that was said nothing is taken, and then one is.
    clock.pass_ms(999)
    assert alice.call("POST", SUBMISSIONS, {"score": 100}).status_code == 429
    clock.pass_ms(1)
    assert alice.call("POST", SUBMISSIONS, {"score": 100}).status_code == 200
    assert alice.call("POST", SUBMISSIONS, {"score": 101}).status_code == 429


def test_each_board_has_a_limit_of_its_own(api: Client, raw: redis.Redis) -> None:
    api.define("main", rules={"rate": {"burst": 1, "per_s": 0.01}})
    api.define("other", rules={"rate": {"burst": 2, "per_s": 0.01}})
    api.define("free", rules={"rate": None})
    alice = api.player("alice")
    assert alice.call("POST", SUBMISSIONS, {"score": 1}).status_code == 200
    refused = alice.call("POST", SUBMISSIONS, {"score": 1})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "100")
    statuses = [alice.call("POST", "/v1/boards/other/submissions", {"score": 1}).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    answers = [alice.call("POST", "/v1/boards/free/submissions", {"score": 1}) for _ in range(50)]
    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit" not in answers[0].headers
    assert raw.keys("lb:{0}:rate:free:*") == []
    assert 0 < raw.pttl("lb:{0}:rate:main:alice") <= 100_000


def test_what_is_refused_otherwise_does_not_count_against_the_limit(board: Client) -> None:
    board.define("main", policy="sum", rules={"rate": {"burst": 1, "per_s": 0.01}})
    board.submit("alice", LIMIT)
    alice = board.player("alice")
    for body in ({"score": 1}, {"score": "x"}, {"score": 1, "expect": {"season": "s9"}}):
        assert alice.call("POST", SUBMISSIONS, body).status_code in (409, 422)
    assert alice.call("POST", SUBMISSIONS, {"score": -1}).status_code == 200
    assert alice.call("POST", SUBMISSIONS, {"score": -1}).status_code == 429


# -- closed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "code"), [("frozen", "board_frozen"), ("archived", "board_archived")])
def test_a_board_that_is_not_open_takes_nothing_and_shows_what_it_has(
    board: Client, raw: redis.Redis, state: str, code: str
) -> None:
    board.submit("alice", 10)
    alice = board.player("alice")
    board.define("main", state=state)
    before = contents(raw)
    assert board.submit("alice", 20, expect=409)["code"] == code
    assert alice.post(SUBMISSIONS, {"score": 20}, expect=409)["code"] == code
    items = {"submissions": [{"board": "main", "player": "alice", "score": 20}]}
    assert board.server.post("/v1/submissions/batch", items)["results"][0]["error"]["code"] == code
    assert contents(raw) == before
    assert board.table() == [(1, "alice", 10)]
    board.define("main", state="open")
    assert board.submit("alice", 20)["outcome"] == "applied"


def test_maintenance_stops_submissions_on_every_board_and_nothing_else(board: Client, raw: redis.Redis) -> None:
    board.define("other")
    board.submit("alice", 10)
    alice = board.player("alice")
    board.admin.put("/v1/admin/maintenance", {"reason": "moving house"})
    before = contents(raw)
    for name in ("main", "other"):
        answer = board.server.call("POST", f"/v1/boards/{name}/submissions", {"player": "alice", "score": 20})
        assert (answer.status_code, answer.get_json()["code"]) == (503, "maintenance")
        assert int(answer.headers["Retry-After"]) > 0
    assert alice.call("POST", SUBMISSIONS, {"score": 20}).status_code == 503
    assert contents(raw) == before
    assert board.table() == [(1, "alice", 10)]
    assert board.admin.get("/v1/admin/maintenance")["reason"] == "moving house"
    board.admin.delete("/v1/admin/maintenance")
    assert board.submit("alice", 20)["outcome"] == "applied"


def test_a_board_that_is_deleted_and_defined_again_begins_anew(board: Client) -> None:
    board.submit("alice", 10)
    board.define("main", state="archived")
    board.admin.delete("/v1/admin/boards/main")
    assert board.submit("alice", 20, expect=404)["code"] == "board_not_found"
    board.define("main", order="asc", decimals=2)
    assert board.table() == []
    assert board.submit("alice", 1.25)["standings"][0]["score"] == 1.25


# -- exactness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("decimals", range(7))
def test_scores_are_exact_at_both_ends_with_any_number_of_places(api: Client, order: str, decimals: int) -> None:
    api.define("main", order=order, decimals=decimals)
    scaled = [LIMIT, LIMIT - 1, LIMIT // 3, 1, 0, -1, -(LIMIT // 3), -(LIMIT - 1), -LIMIT]
    for i, number in enumerate(scaled):
        answer = submit_text(api, f"p{i}", written(number, decimals))
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
        assert submit_text(api, "p0", written(number, decimals)).status_code == 422
    assert submit_text(api, "p0", "0." + "0" * decimals + "1").status_code == 422


def submit_text(api: Client, player: str, score: str) -> Any:
    headers = {"Authorization": f"Bearer {api.server.token}", "Content-Type": "application/json"}
    return api.http.open(SUBMISSIONS, method="POST", data=f'{{"player":"{player}","score":{score}}}', headers=headers)


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
    before = contents(raw)
    problem = api.submit("alice", sign, expect=422)
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("score_out_of_range", "/score")
    assert contents(raw) == before
    api.submit("alice", 0, tiebreaks={"wins": sign * LIMIT})
    before = contents(raw)
    problem = api.submit("alice", 0, expect=422, tiebreaks={"wins": sign})
    assert problem["errors"][0]["pointer"] == "/tiebreaks/wins"
    assert contents(raw) == before
    assert api.table(query="&period=weekly") == [(1, "alice", sign * LIMIT)]


def test_sums_of_decimals_are_exact(api: Client) -> None:
    api.define("main", policy="sum", decimals=1)
    for _ in range(10):
        api.submit("alice", 0.1)
    # In doubles this would be 0.9999999999999999.
    assert '"score":1.0,' in api.call("GET", "/v1/boards/main/standings").text
