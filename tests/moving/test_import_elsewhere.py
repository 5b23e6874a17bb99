"""What ranked in Nakama, in Podium or in a plain ZSET ranks the same here."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from leaderboard.model import PeriodKind, Weekday
from leaderboard.moving.foreign import SourceError
from leaderboard.moving.ids import made_of
from leaderboard.moving.making import periods_like
from leaderboard.moving.sources import Records, Zset
from leaderboard.settings import Settings
from tests.conftest import SetClock
from tests.moving.places import DAY_MS, Place, places, take
from tests.oracle import show_instant

ALLTIME = [{"kind": "alltime"}]
KEY = "game:kills"


@pytest.fixture
def place(settings: Settings, clock: SetClock) -> Iterator[Place]:
    with places(settings, clock, "lb") as (place,):
        place.lb.claim.check()
        yield place


def shown(place: Place, board: str, query: str = "") -> list[tuple[int, str, Any]]:
    rows: list[tuple[int, str, Any]] = []
    cursor = ""
    while True:
        page = place.api.get(f"/v1/boards/{board}/standings?limit=200{query}{cursor}")
        rows += [(entry["rank"], entry["player"]["id"], entry["score"]) for entry in page["entries"]]
        if page["next_cursor"] is None:
            return rows
        cursor = f"&cursor={page['next_cursor']}"


# -- Nakama ----------------------------------------------------------------------------------------------------------

#: What pg_dump writes of the two tables.
DUMP = """--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';

COPY public.leaderboard (id, sort_order, operator, reset_schedule, metadata, title) FROM stdin;
{boards}\\.


COPY public.leaderboard_record (leaderboard_id, owner_id, username, score, subscore, num_score, metadata, create_time, \
update_time, expiry_time, max_num_score) FROM stdin;
{records}\\.


--
-- PostgreSQL database dump complete
--
"""


def uuid(n: int) -> str:
    return f"0198a000-0000-7000-8000-{n:012x}"


def copied(*rows: tuple[Any, ...]) -> str:
    return "".join("\t".join("\\N" if cell is None else str(cell) for cell in row) + "\n" for row in rows)


def dump(tmp_path: Path, boards: list[tuple[Any, ...]], records: list[tuple[Any, ...]]) -> Path:
    path = tmp_path / "nakama.sql"
    path.write_text(DUMP.format(boards=copied(*boards), records=copied(*records)))
    return path


def record(
    board: str, owner: str, score: int, subscore: int, at_ms: int, expiry_ms: int = 0, num_score: int = 1
) -> tuple[Any, ...]:
    at, expiry = (show_instant(ms).replace("T", " ").replace("Z", "+00") for ms in (at_ms, expiry_ms))
    return (board, owner, f"user {owner[-4:]}", score, subscore, num_score, "{}", at, at, expiry, 1_000_000)


@pytest.mark.parametrize(("sort_order", "sign"), [(0, 1), (1, -1)])
def test_a_dump_ranks_as_nakama_does(place: Place, tmp_path: Path, sort_order: int, sign: int) -> None:
    chance, now = random.Random(sort_order), place.clock.at_ms
    records = [(uuid(n), chance.randrange(20), chance.randrange(5), now - chance.randrange(10**6)) for n in range(900)]
    path = dump(
        tmp_path,
        [("cup", sort_order, 0, None, "{}", "The Cup")],
        [record("cup", owner, score, subscore, at_ms) for owner, score, subscore, at_ms in records],
    )
    summary = take(place, Records(path, "skip"), create_boards=True)
    assert (summary.boards, summary.changed, summary.names) == (["cup"], 900, 900)
    # Nakama: by score, then subscore, both the way of the board. It has the rest by owner id; here the first is ahead.
    expected = sorted(records, key=lambda one: (sign * one[1], sign * one[2], one[3], one[0]))
    assert [player for _, player, _ in shown(place, "cup")] == [owner for owner, *_ in expected]
    assert [rank for rank, _, _ in shown(place, "cup")] == list(range(1, 901))
    board = place.api.get("/v1/boards/cup")
    assert (board["title"], board["ties"], board["writes"]) == ("The Cup", "ordinal", "servers")
    assert [tiebreak["name"] for tiebreak in board["tiebreaks"]] == ["subscore"]


@pytest.mark.parametrize("expired", ["skip", "keep"])
def test_records_of_past_occurrences(place: Place, tmp_path: Path, expired: str) -> None:
    now = place.clock.at_ms
    week_ms = 7 * DAY_MS
    # 1970-01-05 was a Monday.
    monday_ms = now - (now - 4 * DAY_MS) % week_ms
    path = dump(
        tmp_path,
        [("weekly", 1, 2, "0 0 * * 1", "{}", "")],
        [
            record("weekly", uuid(1), 5, 0, now - 1000, monday_ms + week_ms),
            record("weekly", uuid(1), 7, 0, monday_ms - 1000, monday_ms),
            # Who joined and never scored.
            record("weekly", uuid(2), 0, 0, now, monday_ms + week_ms, num_score=0),
        ],
    )
    source = Records(path, expired)
    take(place, source, create_boards=True)
    assert shown(place, "weekly") == [(1, uuid(1), 5)]
    before = shown(place, "weekly", "&period_id=previous")
    assert before == ([(1, uuid(1), 7)] if expired == "keep" else [])
    act = "among them" if expired == "keep" else "skipped"
    assert source.told() == [f"1 records of past occurrences, {act}", "1 without a score"]


def test_boards_that_are_missing_are_made_only_where_that_is_asked_for(place: Place, tmp_path: Path) -> None:
    path = dump(tmp_path, [("Cup!", 1, 0, None, "{}", "")], [record("Cup!", uuid(1), 5, 0, 0)])
    with pytest.raises(SourceError, match=f"there is no board '{made_of('Cup!')}' here; define it first"):
        take(place, Records(path, "skip"))
    boards = tmp_path / "boards.csv"
    boards.write_text("from,to\nCup!,cup\n")
    take(place, Records(path, "skip"), board_map=boards, create_boards=True)
    assert shown(place, "cup") == [(1, uuid(1), 5)]


def test_a_board_that_ranks_the_other_way_is_no_place_for_it(place: Place, tmp_path: Path) -> None:
    place.api.define("cup", order="asc", periods=ALLTIME, tiebreaks=[{"name": "subscore"}])
    path = dump(tmp_path, [("cup", 1, 0, None, "{}", "")], [record("cup", uuid(1), 5, 0, 0)])
    with pytest.raises(SourceError, match="the board cup ranks the other way than 'cup' does there"):
        take(place, Records(path, "skip"), create_boards=True)


def test_a_board_that_subtracts_has_to_be_defined_by_hand(place: Place, tmp_path: Path) -> None:
    path = dump(tmp_path, [("cup", 1, 3, None, "{}", "")], [record("cup", uuid(1), 5, 0, 0)])
    with pytest.raises(SourceError, match="define 'cup' yourself"):
        take(place, Records(path, "skip"), create_boards=True)
    place.api.define("cup", periods=ALLTIME)
    take(place, Records(path, "skip"))
    assert shown(place, "cup") == [(1, uuid(1), 5)]


def test_json_of_its_api_counts_as_well(place: Place, tmp_path: Path) -> None:
    place.api.define("cup", policy="sum", ties="competition", periods=ALLTIME)
    records = [
        {"leaderboard_id": "cup", "owner_id": uuid(n), "score": str(n // 2), "num_score": 1, "max_num_score": 10}
        for n in range(600)
    ]
    path = tmp_path / "records.json"
    path.write_text(json.dumps({"records": records}))
    summary = take(place, Records(path, "skip"))
    assert summary.changed == 600
    ranks = [rank for rank, _, _ in shown(place, "cup")]
    assert ranks == [1 + n // 2 * 2 for n in range(600)]
    records[7] |= {"score": "many"}
    path.write_text(json.dumps(records))
    with pytest.raises(SourceError, match="record 8: score 'many' is not an integer"):
        take(place, Records(path, "skip"), name="again")


@pytest.mark.parametrize(
    ("schedule", "kind", "begins"),
    [
        (None, PeriodKind.ALLTIME, {}),
        ("0 0 * * *", PeriodKind.DAILY, {"time_of_day": "00:00"}),
        ("@daily", PeriodKind.DAILY, {"time_of_day": "00:00"}),
        ("30 5 * * *", PeriodKind.DAILY, {"time_of_day": "05:30"}),
        ("0 12 * * 1", PeriodKind.WEEKLY, {"time_of_day": "12:00", "weekday": Weekday.MONDAY}),
        ("0 0 * * 0", PeriodKind.WEEKLY, {"weekday": Weekday.SUNDAY}),
        ("0 0 * * 7", PeriodKind.WEEKLY, {"weekday": Weekday.SUNDAY}),
        ("@weekly", PeriodKind.WEEKLY, {"weekday": Weekday.SUNDAY}),
        ("0 0 15 * *", PeriodKind.MONTHLY, {"day": 15}),
        ("@monthly", PeriodKind.MONTHLY, {"day": 1}),
        # What no calendar period does.
        ("0 0 31 * *", PeriodKind.SEASON, {}),
        ("0 */6 * * *", PeriodKind.SEASON, {}),
        ("0 0 1 1 *", PeriodKind.SEASON, {}),
        ("0 0 1 * 1", PeriodKind.SEASON, {}),
        ("0 24 * * *", PeriodKind.SEASON, {}),
        ("60 0 * * *", PeriodKind.SEASON, {}),
        ("@yearly", PeriodKind.SEASON, {}),
        ("whenever", PeriodKind.SEASON, {}),
    ],
)
def test_a_schedule_becomes_the_period_that_begins_then(
    schedule: str | None, kind: PeriodKind, begins: dict[str, Any]
) -> None:
    (period,) = periods_like(schedule)
    assert period.kind is kind
    assert {name: getattr(period, name) for name in begins} == begins


# -- ZSETs and Podium ------------------------------------------------------------------------------------------------


@pytest.fixture
def zset(raw: redis.Redis) -> Iterator[dict[str, float]]:
    """Many equals, in a Redis that happens to be the same one."""
    chance = random.Random(9)
    members = {f"{chance.choice('Aa~z')}{n}": chance.randrange(30) / 4 for n in range(2500)}
    raw.zadd(KEY, members)
    yield members
    raw.delete(KEY)


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("ties", ["ordinal", "competition"])
def test_a_zset_ranks_as_it_did_equals_too(
    place: Place, raw: redis.Redis, store_url: str, zset: dict[str, float], order: str, ties: str
) -> None:
    place.api.define("kills", order=order, ties=ties, decimals=2, periods=ALLTIME)
    summary = take(place, Zset(store_url, KEY, "kills"))
    assert summary.changed == 2500
    ranked = raw.zrange(KEY, 0, -1, desc=order == "desc", withscores=True)
    rows = shown(place, "kills")
    # Where ids do not fit, others stand for them, in the same places.
    assert [(player, score) for _, player, score in rows] == [
        (name if name[0] != "~" else made_of(name), score) for member, score in ranked for name in [member.decode()]
    ]
    if ties == "ordinal":
        assert [rank for rank, _, _ in rows] == list(range(1, 2501))
    else:
        assert [rank for rank, _, _ in rows] == [
            1 + raw.zcount(KEY, *((f"({score}", "inf") if order == "desc" else ("-inf", f"({score}")))
            for _, score in ranked
        ]


def test_an_instant_never_leads_into_another_period(
    place: Place, store_url: str, raw: redis.Redis, zset: dict[str, float]
) -> None:
    place.api.define("kills", decimals=2, periods=[{"kind": "daily", "keep_days": 3}])
    # A few milliseconds into the day: the equals do not fit into them.
    place.clock.at_ms = (place.clock.at_ms // DAY_MS + 1) * DAY_MS + 5
    take(place, Zset(store_url, KEY, "kills"))
    assert len(shown(place, "kills")) == 2500


def test_a_zset_goes_into_one_standings_as_it_is(place: Place, store_url: str, raw: redis.Redis) -> None:
    raw.zadd("kills-year2026week47", {"neo": 3, "p_0123456789abcdef": 4})
    place.api.define("kills", policy="sum", periods=[{"kind": "season"}, *ALLTIME])
    for _ in range(2):
        take(place, Zset(store_url, "kills-year2026week47", "kills"), period_id="s1", anew=True)
    assert shown(place, "kills") == [(1, made_of("p_0123456789abcdef"), 4), (2, "neo", 3)]
    assert shown(place, "kills", "&period=alltime") == []


def test_a_zset_that_changed_since_it_was_cut_off_is_not_taken_for_the_same(
    place: Place, store_url: str, raw: redis.Redis, zset: dict[str, float]
) -> None:
    place.api.define("kills", policy="sum", decimals=2, periods=ALLTIME)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(place, Zset(store_url, KEY, "kills"), progress=stop)
    assert take(place, Zset(store_url, KEY, "kills")).rows == 2000
    assert sum(score for _, _, score in shown(place, "kills")) == sum(zset.values())
    raw.zadd(KEY, {"late": -1})
    with pytest.raises(SourceError, match="are not those that were imported before"):
        take(place, Zset(store_url, KEY, "kills"))


def test_ids_that_do_not_fit_are_mapped_or_made(place: Place, store_url: str, raw: redis.Redis, tmp_path: Path) -> None:
    raw.zadd(KEY, {"neo": 1, "Mr. Smith": 2, b"\xff\xfe": 3, "me": 4, "x" * 65: 5})
    place.api.define("kills", periods=ALLTIME)
    path = tmp_path / "ids.csv"
    path.write_text("from,to\nMr. Smith,smith\n")
    take(place, Zset(store_url, KEY, "kills"), id_map=path)
    made = [made_of(one) for one in ("x" * 65, "me", b"\xff\xfe".decode("utf-8", "surrogateescape"))]
    assert [player for _, player, _ in shown(place, "kills")] == [*made, "smith", "neo"]
    assert len(path.read_bytes().splitlines()) == 5
    assert take(place, Zset(store_url, KEY, "kills"), id_map=path, anew=True).kept == 5
    assert len(path.read_bytes().splitlines()) == 5


def test_podium_by_the_commands(place: Place, store_url: str, raw: redis.Redis) -> None:
    raw.zadd("kills", {"neo": 3, "trinity": 3, "cypher": 9})
    raw.zadd("runs", {"neo": 30})
    raw.zadd("runs:ttl", {"neo": 2_000_000_000})
    try:
        said = place.run("import", "podium", store_url)
        assert "kills: 3 players\n" in said
        assert "runs: 1 players\n  the scores of 1 of them expire there; here they will not\n" in said
        assert "there is no board 'kills' here" in place.run("import", "podium", store_url, "kills", status=1)
        said = place.run("import", "podium", store_url, "kills", "runs", "--create-boards")
        assert said.count("defined the board") == 2
        assert [row[1:] for row in shown(place, "kills")] == [("cypher", 9), ("trinity", 3), ("neo", 3)]
        assert shown(place, "runs") == [(1, "neo", 30)]
        # It is the same ZSET, by whatever command.
        assert "nothing new" in place.run("import", "zset", store_url, "kills", "--board", "kills")
    finally:
        raw.delete("kills", "runs", "runs:ttl")


def test_nakama_by_the_command(place: Place, tmp_path: Path) -> None:
    path = dump(tmp_path, [("cup", 1, 0, None, "{}", "")], [record("cup", uuid(n), n, 0, 0) for n in range(3)])
    said = place.run("import", "nakama", str(path), "--create-boards", "--no-names")
    assert "defined the board cup" in said
    assert "3 rows: 3 applied, 0 changed nothing" in said
    assert [rank for rank, *_ in shown(place, "cup")] == [1, 2, 3]
