"""Scores from elsewhere count by the policy of their board, with their own instants, and each of them once."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import redis

from leaderboard.api.fields import PLAYER_ID
from leaderboard.errors import Problem
from leaderboard.installation import open_installation
from leaderboard.moving.foreign import SourceError
from leaderboard.moving.ids import made_of
from leaderboard.moving.remembering import TwiceError
from leaderboard.settings import Settings
from tests.client import Client
from tests.conftest import SetClock
from tests.faults.proxy import Proxy
from tests.live import Live, eventually
from tests.moving.places import DAY_MS, Place, places, take_rows, take_text
from tests.oracle import Play, Rules, Standings, read_instant, show_instant
from tests.test_f1 import DATA

FOOTBALL = DATA / "football" / "goalscorers.csv.gz"
ALLTIME = [{"kind": "alltime"}]


@pytest.fixture
def place(settings: Settings, clock: SetClock) -> Iterator[Place]:
    with places(settings, clock, "lb") as (place,):
        place.lb.claim.check()
        yield place


@pytest.fixture
def place_anywhere(settings: Settings, clock: SetClock, database_url: str) -> Iterator[Place]:
    with places(replace(settings, database_url=database_url), clock, "lb") as (place,):
        place.lb.claim.check()
        yield place


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def all_rows(api: Client, board: str, query: str = "") -> list[Any]:
    """Every entry of a standings, over HTTP."""
    found: list[Any] = []
    cursor = ""
    while True:
        page = api.get(f"/v1/boards/{board}/standings?limit=200{query}{cursor}")
        found += page["entries"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


# -- what counts where -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
def test_rows_count_as_submissions_do_in_any_order(place: Place, tmp_path: Path, policy: str) -> None:
    rules = Rules(policy=policy, order="asc", ties="dense", decimals=2, tiebreaks=(("wins", "desc"),))
    place.api.define(**rules.definition(), periods=ALLTIME)
    chance, oracle, rows = random.Random(policy), Standings(rules), []
    for line in range(1200):
        play = Play(
            f"p{chance.randrange(50)}", chance.randrange(-300, 300), (chance.randrange(3),),
            read_instant("1916-07-02T00:00:00Z") + chance.randrange(10**12), stated=True, metadata={"n": line},
        )  # fmt: skip
        oracle.submit(play)
        rows.append({
            "player": play.player, "score": play.score / 100, "tiebreaks": {"wins": play.tiebreaks[0]},
            "achieved_at": show_instant(play.achieved_at), "metadata": play.metadata,
        })  # fmt: skip
    summary = take_text(place, tmp_path / "rows", lines(*rows), "main")
    assert summary.changed + summary.kept == 1200
    shown = [
        (e["rank"], e["player"]["id"], e["score"], e["tiebreaks"]["wins"], e["achieved_at"], e["metadata"])
        for e in all_rows(place.api, "main")
    ]
    assert shown == [
        (rank, e.player, e.score / 100, e.tiebreaks[0], show_instant(e.achieved_at), e.metadata)
        for rank, e in oracle.rows()
    ]
    # Rates are for players; and the profile counts them.
    assert sum(place.api.server.get(f"/v1/players/p{n}")["submissions"] for n in range(50)) == 1200


def test_a_score_counts_in_every_standings_that_is_still_kept(place: Place, tmp_path: Path) -> None:
    day_ms = place.clock.at_ms // DAY_MS * DAY_MS
    periods = [{"kind": "season"}, {"kind": "daily", "keep_days": 2}, {"kind": "alltime"}]
    place.api.define(policy="sum", late_s=0, periods=periods)
    # A day that ended two days ago is gone with its last millisecond.
    ages = {"now": 0, "kept": DAY_MS, "just": 2 * DAY_MS, "gone": 3 * DAY_MS, "old": 40_000 * DAY_MS}
    text = lines(*({"player": p, "score": 1, "achieved_at": show_instant(day_ms - age)} for p, age in ages.items()))
    assert take_text(place, tmp_path / "rows", text, "main").changed == 5
    for period in ("season", "alltime"):
        assert len(place.api.table(query=f"&period={period}")) == 5
    for player, age in ages.items():
        day = show_instant(day_ms - age)[:10]
        path = f"/v1/boards/main/standings?period=daily&period_id={day}"
        if player in ("gone", "old"):
            assert place.api.get(path, expect=410)["code"] == "period_gone"
        else:
            assert [entry["player"]["id"] for entry in place.api.get(path)["entries"]] == [player]


def test_what_is_kept_is_what_was_begun_so(place: Place, tmp_path: Path) -> None:
    place.api.define(periods=[{"kind": "daily", "keep_days": 30}], late_s=0)
    place.api.submit("alice", 5)
    at = show_instant(place.clock.at_ms)
    place.api.define(periods=[{"kind": "daily", "keep_days": 1}], late_s=0)
    place.clock.pass_ms(3 * DAY_MS)
    take_text(place, tmp_path / "rows", lines({"player": "bob", "score": 4, "achieved_at": at}), "main")
    assert place.api.table(query=f"&period=daily&period_id={at[:10]}") == [(1, "alice", 5), (2, "bob", 4)]


def test_a_score_that_counts_nowhere_any_more_is_skipped(place: Place, tmp_path: Path) -> None:
    place.api.define(periods=[{"kind": "daily", "keep_days": 2}])
    text = lines({"player": "a", "score": 1, "achieved_at": "1916-07-02"}, {"player": "b", "score": 1})
    summary = take_text(place, tmp_path / "rows", text, "main")
    assert (summary.rows, summary.changed, dict(summary.skipped)) == (2, 1, {"of periods that are gone": 1})
    assert take_rows(place, tmp_path / "rows", "main").rows == 0


def test_without_an_instant_it_is_when_the_import_was_begun_or_what_is_said(place: Place, tmp_path: Path) -> None:
    place.api.define(periods=ALLTIME)
    begun_ms = place.clock.at_ms
    take_text(place, tmp_path / "a", lines({"player": "a", "score": 1}), "main")
    take_text(place, tmp_path / "b", lines({"player": "b", "score": 1}), "main", at_ms=-1)
    shown = {entry["player"]["id"]: entry["achieved_at"] for entry in all_rows(place.api, "main")}
    assert shown == {"a": show_instant(begun_ms), "b": show_instant(-1)}


@pytest.mark.parametrize("goals", [8_000, pytest.param(46_934, marks=pytest.mark.slow)])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_hundred_years_of_goals_come_to_what_counting_gives(
    place_anywhere: Place, tmp_path: Path, goals: int
) -> None:
    """The last so many of them; there are 46,934."""
    if not FOOTBALL.exists():
        pytest.skip(f"the goals are not in {FOOTBALL}")
    place, rules = place_anywhere, Rules(policy="sum", ties="competition")
    place.api.define("goals", **rules.definition(), periods=ALLTIME)
    path, ids = tmp_path / "goals.csv.gz", tmp_path / "ids.csv"
    expected = football(path, rules, goals)
    summary = take_rows(place, path, "goals", id_map=ids)
    assert (summary.rows, summary.changed, summary.bad) == (goals, goals, 0)
    shown = [(e["rank"], e["player"]["id"], e["score"], e["achieved_at"]) for e in all_rows(place.api, "goals")]
    assert shown == [(rank, e.player, e.score, show_instant(e.achieved_at)) for rank, e in expected.rows()]
    # An id with a blank does not fit, so it was made, and is in the map.
    made = [line for line in ids.read_text().splitlines() if '"x_' in line]
    assert len(made) == sum(entry.player.startswith("x_") for entry in expected.entries)
    names = {entry["player"]["display_name"] for entry in all_rows(place.api, "goals")}
    assert "Cristiano Ronaldo" in names


def football(path: Path, rules: Rules, last: int) -> Standings:
    """The last goals as somebody would bring them, and how they rank."""
    count: Counter[str] = Counter()
    last_at: dict[str, int] = {}
    with (
        gzip.open(FOOTBALL, "rt", encoding="utf-8", newline="") as file,
        gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=1) as out,
    ):
        writer = csv.writer(out)
        writer.writerow(["player", "display_name", "score", "achieved_at"])
        scored = [row for row in csv.DictReader(file) if row["own_goal"] != "TRUE" and row["scorer"] not in ("", "NA")]
        for row in scored[-last:]:
            writer.writerow([row["scorer"], row["scorer"], 1, row["date"]])
            player = row["scorer"] if PLAYER_ID.fullmatch(row["scorer"]) else made_of(row["scorer"])
            count[player] += 1
            at = read_instant(f"{row['date']}T00:00:00Z")
            last_at[player] = max(at, last_at.get(player, at))
    expected = Standings(rules)
    for player, goals in count.items():
        expected.correct(Play(player, goals, (), last_at[player]))
    return expected


# -- once ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [6_000, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_cut_off_again_and_again_each_row_counts_once(
    place_anywhere: Place, raw: redis.Redis, tmp_path: Path, count: int
) -> None:
    place = place_anywhere
    place.api.define(policy="sum", periods=ALLTIME)
    path, chance, expected = tmp_path / "rows.csv", random.Random(5), Counter[str]()
    rows = ["player,score,display_name\n"]
    for _ in range(count):
        # Some play so often that their rows fill chunks of their own.
        player = f"p{chance.choice((0, 0, chance.randrange(count // 10)))}"
        expected[player] += 1
        rows.append(f"{player},1,The {player}\n")
    path.write_text("".join(rows))
    arguments = ("import", "scores", str(path), "--board", "main")
    for least in (1, count // 5, count // 2, count * 3 // 4)[:: 1 if count > 6_000 else 2]:
        with place.start(*arguments) as process:
            # In the middle of a chunk, if it can be caught there.
            while not is_sending(raw, least) and process.poll() is None:
                pass
            os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    said = place.run(*arguments)
    assert "gone on behind line" in said
    assert {e["player"]["id"]: e["score"] for e in all_rows(place.api, "main")} == expected
    assert place.api.server.get("/v1/players/p0")["submissions"] == expected["p0"]
    assert "nothing new" in place.run(*arguments)
    # And the archive has each of them once.
    with place.lb.archive.read() as connection:
        submissions = place.lb.archive.tables.submissions
        assert len(connection.execute(submissions.select()).all()) == count


def is_sending(raw: redis.Redis, least: int) -> bool:
    for key in raw.scan_iter("lb:{0}:import:*"):
        line, sent = raw.hmget(key, "line", "sent_line")
        if int(line or 0) >= least and int(sent or 0) > 0:
            return True
    return False


def test_replies_that_are_lost_count_nothing_twice(
    place: Place, store_url: str, raw: redis.Redis, tmp_path: Path
) -> None:
    place.api.define(policy="sum", periods=ALLTIME)
    raw.config_set("port", 0)
    (tmp_path / "rows").write_text("player,score\n" + "".join(f"p{n % 90},1\n" for n in range(3000)))
    with Proxy(store_url, seed=3) as proxy:
        settings = replace(place.settings, redis_url=proxy.url, store_timeout_s=1.5)
        lb = open_installation(settings, place.clock)
        try:
            lb.claim.check()
            proxy.lose_replies = 0.3
            summary = take_rows(replace(place, lb=lb), tmp_path / "rows", "main")
            proxy.lose_replies = 0.0
        finally:
            lb.close()
        assert proxy.lost > 0
    assert summary.changed == 3000
    assert sum(entry["score"] for entry in all_rows(place.api, "main")) == 3000


def test_a_wrong_row_that_is_set_right_or_taken_out_counts_nothing_twice(place: Place, tmp_path: Path) -> None:
    place.api.define(policy="sum", periods=ALLTIME)
    rows = [f"p{number % 7},1\n" for number in range(600)]
    for wrong, right in ((311, "p9,1\n"), (450, None)):
        bad = [*rows[:wrong], "p9,x\n", *rows[wrong + (right is not None) :]]
        with pytest.raises(SourceError, match=f"line {wrong + 2}: score 'x' is not a number"):
            take_text(place, tmp_path / "rows", "player,score\n" + "".join(bad), "main")
        if right:
            rows[wrong] = right
    summary = take_text(place, tmp_path / "rows", "player,score\n" + "".join(rows), "main")
    assert summary.rows == 150
    assert sum(entry["score"] for entry in all_rows(place.api, "main")) == 600


def test_a_sum_that_would_be_beyond_the_limit_stops_it_and_is_left_out(place: Place, tmp_path: Path) -> None:
    place.api.define(policy="sum", periods=ALLTIME)
    most = 10**15 - 1
    text = "player,score\n" + f"alice,{most}\nalice,1\nbob,1\n" + "carol,1\n" * 20
    with pytest.raises(
        SourceError, match=r"line 3: the sum would be beyond .* \(all others up to line 24 are imported"
    ):
        take_text(place, tmp_path / "rows", text, "main")
    assert take_rows(place, tmp_path / "rows", "main").rows == 0
    assert place.api.table() == [(1, "alice", most), (2, "carol", 20), (3, "bob", 1)]
    summary = take_rows(place, tmp_path / "rows", "main", name="again", skip_bad=True)
    assert (summary.rows, summary.bad) == (23, 2)
    assert place.api.table() == [(1, "alice", most), (2, "carol", 40), (3, "bob", 2)]


def test_rows_that_are_added_are_imported_and_rows_that_changed_are_not(place: Place, tmp_path: Path) -> None:
    place.api.define(policy="sum", periods=ALLTIME)
    path, text = tmp_path / "rows", "player,score\n" + "".join(f"p{number},1\n" for number in range(300))
    take_text(place, path, text, "main")
    summary = take_text(place, path, text + "p0,1\n", "main")
    assert (summary.resumed, summary.rows) == (301, 1)
    for changed in (text.replace("p7,1", "p7,2") + "p0,1\n", text, text.replace("p7,1\n", "") + "p0,1\np0,1\n"):
        with pytest.raises(SourceError, match="up to line 302 are not those that were imported before"):
            take_text(place, path, changed, "main")
    assert sum(score for _, _, score in place.api.table()) == 200 + 1
    # What is something else says so, and to begin anew is to count again.
    assert take_text(place, path, "player,score\nq,1\n", "main", name="something else").changed == 1
    assert take_text(place, path, "player,score\nq,1\n", "main", anew=True).changed == 1
    assert take_rows(place, path, "main").rows == 0
    assert place.api.get("/v1/boards/main/standings/q")["entry"]["score"] == 2


def test_an_import_is_not_taken_for_another_of_the_same_file(place: Place, tmp_path: Path) -> None:
    for board in ("one", "two"):
        place.api.define(board, policy="sum", periods=[*ALLTIME, {"kind": "season"}])
    (tmp_path / "rows.csv").write_text("player,score\nalice,1\n")
    for arguments in (["--board", "one"], ["--board", "two"], ["--board", "one", "--period-id", "s1"]):
        assert "1 rows: " in place.run("import", "scores", str(tmp_path / "rows.csv"), *arguments)
        assert "nothing new" in place.run("import", "scores", str(tmp_path / "rows.csv"), *arguments)


def test_two_at_the_same_import_do_not_count_twice(place: Place, tmp_path: Path) -> None:
    place.api.define(policy="sum", periods=ALLTIME)
    text = "player,score\n" + "".join(f"p{n % 3},1\n" for n in range(900))

    def run_it_too(stage: str, done: int, total: int) -> None:
        if done == 96:
            assert take_rows(place, tmp_path / "rows", "main").rows == 900 - 96

    with pytest.raises(TwiceError, match="this import goes on elsewhere"):
        take_text(place, tmp_path / "rows", text, "main", progress=run_it_too)
    assert {score for _, _, score in place.api.table()} == {300}


def test_after_two_days_it_is_asked_whether_the_last_chunk_was_counted(
    place: Place, raw: redis.Redis, tmp_path: Path
) -> None:
    place.api.define(policy="sum", periods=ALLTIME)
    text = "player,score\n" + "".join(f"p{number},1\n" for number in range(600))

    def stop(stage: str, done: int, total: int) -> None:
        if done == 250:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_text(place, tmp_path / "rows", text, "main", progress=stop)
    # Killed while the second chunk was on its way.
    (key,) = raw.keys("lb:{0}:import:*")
    begun = {name.decode(): value.decode() for name, value in raw.hgetall(key).items()}
    digest = digest_up_to(tmp_path / "rows", 501)
    raw.hset(key, mapping={"sent_line": 501, "sent_digest": digest, "sent_ms": place.clock.at_ms})
    place.clock.pass_ms(2 * DAY_MS)
    with pytest.raises(SourceError, match=r"lines 252 to 501 were counted.* --after 251 if they were not, --after 501"):
        take_rows(place, tmp_path / "rows", "main")
    assert begun["line"] == "251"
    assert take_rows(place, tmp_path / "rows", "main", after=251).rows == 350
    assert sum(entry["score"] for entry in all_rows(place.api, "main")) == 600


def digest_up_to(path: Path, line: int) -> str:
    from leaderboard.moving.items import content_of  # noqa: PLC0415
    from leaderboard.moving.rows import read_rows  # noqa: PLC0415

    digest = sha256()
    for score in read_rows(path, "main"):
        if score.line <= line:
            digest.update(content_of(score))
    return digest.hexdigest()


# -- while the service goes on ---------------------------------------------------------------------------------------


def test_while_others_submit_nothing_is_lost(place: Place, store_url: str, tmp_path: Path) -> None:
    place.api.define(policy="sum", periods=[*ALLTIME, {"kind": "season"}])
    players, over, counted = [f"p{number}" for number in range(20)], threading.Event(), Counter[str]()
    (tmp_path / "rows").write_text("player,score\n" + "".join(f"{players[n % 20]},1\n" for n in range(6000)))

    def play(api: Client) -> None:
        chance = random.Random(1)
        while not over.is_set():
            player = chance.choice(players)
            api.submit(player, 1000)
            counted[player] += 1

    with Live(store_url, workers=1) as live:
        live.ready()
        thread = threading.Thread(target=play, args=[live.api])
        thread.start()
        try:
            take_rows(place, tmp_path / "rows", "main")
            # Season and definition change in the middle of another one.
            place.api.define(policy="sum", title="x", periods=[*ALLTIME, {"kind": "season"}])
            eventually(lambda: sum(counted.values()) > 20, "others have submitted")
        finally:
            over.set()
            thread.join()
    scores = {entry["player"]["id"]: entry["score"] for entry in all_rows(place.api, "main")}
    assert scores == {player: 300 + 1000 * counted[player] for player in players}


def test_a_board_that_changes_or_is_reset_meanwhile_is_followed(place: Place, tmp_path: Path) -> None:
    periods = [*ALLTIME, {"kind": "season"}]
    place.api.define(policy="sum", periods=periods)

    def change(stage: str, done: int, total: int) -> None:
        if done == 250:
            place.api.define(policy="sum", title="x", periods=periods)
        elif done == 500:
            place.api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})

    text = "player,score\n" + "".join(f"p{number},1\n" for number in range(1000))
    assert take_text(place, tmp_path / "rows", text, "main", progress=change).changed == 1000
    totals = [
        place.api.get(f"/v1/boards/main/standings?{query}")["total"]
        for query in ("period_id=all", "period_id=s1", "period_id=s2")
    ]
    assert totals == [1000, 500, 500]


def test_a_frozen_board_and_maintenance_stop_it_until_it_is_run_again(place: Place, tmp_path: Path) -> None:
    place.api.define(periods=ALLTIME)
    place.api.admin.put("/v1/admin/maintenance", {"reason": "x"})
    with pytest.raises(Problem, match="maintenance"):
        take_text(place, tmp_path / "rows", "player,score\nalice,1\n", "main")
    place.api.admin.delete("/v1/admin/maintenance")
    place.api.define(state="frozen", periods=ALLTIME)
    with pytest.raises(Problem, match="board_frozen"):
        take_rows(place, tmp_path / "rows", "main")
    place.api.define(periods=ALLTIME)
    assert take_rows(place, tmp_path / "rows", "main").changed == 1


def test_without_a_worker_the_import_archives_what_it_writes(
    settings: Settings, clock: SetClock, raw: redis.Redis, tmp_path: Path
) -> None:
    few = replace(settings, journal_records_alarm=200, journal_records_most=600)
    with places(few, clock, "lb") as (place,):
        place.lb.claim.check()
        place.api.define(periods=ALLTIME)
        most = 0

        def look(stage: str, done: int, total: int) -> None:
            nonlocal most
            most = max(most, raw.xlen("lb:{0}:journal"))

        text = "player,score\n" + "".join(f"p{number},1\n" for number in range(2000))
        assert take_text(place, tmp_path / "rows", text, "main", progress=look).changed == 2000
        # Half of the alarm, and a chunk.
        assert most <= 100 + 250
        assert raw.xlen("lb:{0}:journal") == 0


def test_standard_input_is_taken_and_not_remembered(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.api.define(policy="sum", periods=ALLTIME)
    for total in (5, 10):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"player,score\nneo,5\n"))))
        take_rows(place, Path("-"), "main")
        assert place.api.table() == [(1, "neo", total)]
