"""What is stored about a player: all of it for the player, and none of it after an erasure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
import redis
from flask import Flask
from sqlalchemy import LargeBinary, String, select, update

from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import show_instant

#: Long and odd enough not to be anywhere by chance.
ALICE = "alice-of-the-erased"
SUBJECT = "steam-knows-her-by-this"
DEVICE = "a-device-of-alice-0123456789abcdef"


@pytest.fixture
def lb(app: Flask) -> Installation:
    installation: Installation = app.extensions["leaderboard"]
    return installation


@pytest.fixture
def drain(lb: Installation) -> Drain:
    return Drain(lb)


def archive(drain: Drain) -> None:
    while drain.step():
        pass


def stored(raw: redis.Redis) -> Iterator[bytes]:
    """Every key, field and value of the store."""
    for key in raw.scan_iter(count=1000):
        yield key
        match raw.type(key):
            case b"string":
                yield raw.get(key)
            case b"hash":
                yield from (part for pair in raw.hgetall(key).items() for part in pair)
            case b"zset":
                yield from raw.zrange(key, 0, -1)
            case b"set":
                yield from raw.smembers(key)
            case b"stream":
                yield from (part for _, fields in raw.xrange(key) for part in fields.values())


def archived(lb: Installation) -> Iterator[bytes]:
    """Every text and every piece of bytes in the archive."""
    with lb.archive.read() as connection:
        for table in lb.archive.tables.metadata.sorted_tables:
            for row in connection.execute(select(*(c for c in table.c if isinstance(c.type, String | LargeBinary)))):
                yield from (value.encode() if isinstance(value, str) else value for value in row if value)


def fill(api: Client) -> str:
    """Alice has something of everything; returns the id of her second player, whom a device signed in."""
    kinds = [{"kind": "season"}, {"kind": "weekly"}, {"kind": "alltime"}]
    api.define("main", periods=kinds, ties="dense", rules={"attempts": {"required": False, "most": 5}})
    for player in (ALICE, "bob", "carol"):
        api.server.put(f"/v1/players/{player}", {"display_name": f"{player}, by name"}, expect=201)
    api.server.put(f"/v1/players/{ALICE}/identities/steam", {"subject": SUBJECT}, expect=201)
    alice, bob, carol = api.player(ALICE), api.player("bob"), api.player("carol")
    alice.put("/v1/players/me/friends/bob")
    bob.put(f"/v1/players/me/friends/{ALICE}")
    alice.put("/v1/players/me/blocks/carol", expect=204)
    carol.put(f"/v1/players/me/blocks/{ALICE}", expect=204)
    for player, score in (("bob", 10), (ALICE, 10), ("carol", 10), (ALICE, 8)):
        api.submit(player, score, metadata={"of": player}, key=f"{player}-{score}")
    alice.post("/v1/boards/main/attempts", {}, expect=201)
    return str(api.post("/v1/sessions", {"device_id": DEVICE}, expect=201)["player"]["id"])


def test_a_player_gets_everything_stored_about_it(api: Client, drain: Drain, clock: SetClock, raw: redis.Redis) -> None:
    fill(api)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    archive(drain)
    alice = api.player(ALICE)
    archive(drain)
    data = alice.get("/v1/players/me/export")
    assert data["player"]["display_name"] == f"{ALICE}, by name"
    assert data["player"]["submissions"] == 2
    assert data["player"]["identities"] == [{"provider": "steam", "subject": SUBJECT}]
    assert len(data["sessions"]) == 2
    assert data["device_hashes"] == []
    assert [(friend["player"], friend["state"], friend["by"]) for friend in data["friends"]] == [
        ("bob", "friends", "bob"),
        ("carol", "blocked", ALICE),
    ]
    assert {entry["period_id"][0] for entry in data["entries"]} == {"s", "2", "a"}
    for entry in data["entries"]:
        assert (entry["score"], entry["metadata"], entry["submissions"]) == (10, {"of": ALICE}, 2)
    assert [(each["score"], each["metadata"], each["kind"]) for each in data["submissions"]] == [
        (10, {"of": ALICE}, "submission"),
        (8, {"of": ALICE}, "submission"),
    ]
    ((attempt, kept),) = raw.hgetall(f"lb:{{0}}:attempts:main:{ALICE}").items()
    assert data["attempts"] == [
        {
            "attempt": attempt.decode(),
            "board": "main",
            "seed": int(kept.split(b";")[2]),
            "opened_at": show_instant(clock.now_ms()),
            "expires_at": show_instant(clock.now_ms() + 3_600_000),
        }
    ]
    assert [(each["board"], each["opened"]) for each in data["attempts_opened"]] == [("main", 1)]
    assert api.server.get(f"/v1/players/{ALICE}/export")["submissions"] == data["submissions"]


def test_numbers_are_exported_as_they_were_submitted(api: Client, drain: Drain) -> None:
    tiebreaks = [{"name": "wins"}, {"name": "losses", "order": "asc"}]
    api.define("main", order="asc", decimals=2, tiebreaks=tiebreaks)
    api.submit("alice", 12.5, tiebreaks={"wins": 3, "losses": -4})
    archive(drain)
    data = api.server.get("/v1/players/alice/export")
    for each in (*data["entries"], *data["submissions"]):
        assert (each["score"], each["tiebreaks"]) == (12.5, {"wins": 3, "losses": -4})


def test_an_export_is_for_the_player_itself(api: Client, drain: Drain) -> None:
    fill(api)
    archive(drain)
    assert api.player("bob").get(f"/v1/players/{ALICE}/export", expect=403)["code"] == "forbidden"
    assert api.get(f"/v1/players/{ALICE}/export", expect=401)["code"] == "unauthenticated"
    assert api.server.get("/v1/players/nobody/export", expect=404)["code"] == "player_not_found"


def test_an_export_waits_for_the_archive_rather_than_leave_something_out(
    api: Client, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderboard.privacy.WAIT_S", 0.0)
    fill(api)
    archive(drain)
    api.submit(ALICE, 11)
    assert api.server.get(f"/v1/players/{ALICE}/export", expect=503)["code"] == "archive_unavailable"


@pytest.mark.parametrize("archived_between", [True, False])
def test_after_an_erasure_nothing_is_left(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, archived_between: bool
) -> None:
    by_device = fill(api)
    if archived_between:
        archive(drain)
    for player in (ALICE, by_device):
        api.server.delete(f"/v1/players/{player}")
    archive(drain)
    left = {
        text
        for text in (*stored(raw), *archived(lb))
        if any(secret.encode() in text for secret in (ALICE, by_device, "by name, of", DEVICE, SUBJECT))
    }
    # The marks that refuse the ids for 30 days, in the store and in the archive.
    assert left == {
        *(f"lb:{{0}}:player:{player}".encode() for player in (ALICE, by_device)), ALICE.encode(), by_device.encode(),
    }  # fmt: skip
    assert raw.hgetall(f"lb:{{0}}:player:{ALICE}") == {b"state": b"erased"}
    assert not list(raw.scan_iter("lb:identity:*"))
    assert raw.xlen("lb:{0}:journal") == 0


def week_of(api: Client) -> list[tuple[int, str, Any]]:
    page = api.get("/v1/boards/main/standings?period=weekly&period_id=previous")
    return [(entry["rank"], entry["player"]["id"], entry["metadata"]) for entry in page["entries"]]


@pytest.mark.parametrize("ties", ["ordinal", "competition", "dense"])
def test_in_settled_standings_a_nameless_entry_keeps_everybody_elses_rank(
    api: Client, raw: redis.Redis, clock: SetClock, drain: Drain, lb: Installation, ties: str
) -> None:
    api.define("main", ties=ties, periods=[{"kind": "weekly"}, {"kind": "alltime"}])
    # All of them at the same instant, so that 10 is ordered by id alone:  a  b  b.  c  |  z
    for player in ("a", "b", "b.", "c"):
        api.submit(player, 10, metadata={"of": player})
    api.submit("z", 9)
    clock.pass_ms(8 * DAY_MS)
    before = week_of(api)
    for player in ("b", "b.", "a", "z"):
        api.server.delete(f"/v1/players/{player}")
    after = week_of(api)
    assert [rank for rank, _, _ in after] == [rank for rank, _, _ in before]
    assert after[3] == before[3]
    nameless = [row for row in after if row[1] != "c"]
    assert len(nameless) == 4
    for _, player, metadata in nameless:
        assert player.startswith("-")
        assert metadata is None
        # No call takes such an id for a player.
        api.get(f"/v1/players/{player}", expect=404)
    # In standings that go on it is gone.
    assert [row[1] for row in api.table(query="&period=alltime")] == ["c"]
    archive(drain)
    with lb.archive.read() as connection:
        entries = lb.archive.tables.entries
        weekly = select(entries.c.order_key).where(entries.c.period_id != "all").order_by(entries.c.order_key)
        keys = [key[7:] for key in connection.scalars(weekly)]
    week = next(key for key in raw.scan_iter("lb:{0}:order:main:2*"))
    assert keys == raw.zrange(week, 0, -1)


def test_standings_that_the_store_has_no_more_become_nameless_in_the_archive(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain
) -> None:
    api.define("main", periods=[{"kind": "weekly"}, {"kind": "alltime"}])
    for player in ("a", "b", "c"):
        api.submit(player, 10, metadata={"of": player})
    archive(drain)
    with lb.archive.read() as connection:
        entries = lb.archive.tables.entries
        weekly = select(entries.c.player).where(entries.c.period_id != "all").order_by(entries.c.order_key)
        assert list(connection.scalars(weekly)) == ["a", "b", "c"]
    # As after their time.
    raw.delete(*raw.scan_iter("lb:{0}:order:main:2*"), *raw.scan_iter("lb:{0}:entries:main:2*"))
    api.server.delete("/v1/players/b")
    archive(drain)
    with lb.archive.read() as connection:
        first, nameless, last = connection.scalars(weekly)
    assert (first, last) == ("a", "c")
    assert nameless.startswith("a\x01")


def order_of_week(raw: redis.Redis) -> list[bytes]:
    """The members of last week's order, without its one achieved_at."""
    week = next(key for key in raw.scan_iter("lb:{0}:order:main:2*"))
    return [member[7:] for member in raw.zrange(week, 0, -1)]


@pytest.mark.parametrize("order", list(permutations(("a", "b", "c", "d"))), ids="".join)
def test_nothing_is_named_after_somebody_who_is_gone(
    api: Client, raw: redis.Redis, clock: SetClock, drain: Drain, lb: Installation, order: tuple[str, ...]
) -> None:
    api.define("main", ties="ordinal", periods=[{"kind": "weekly"}])
    # All of them at the same instant, so that they are ordered by id alone.
    for player in ("0", "a", "b", "c", "d", "e"):
        api.submit(player, 10)
    clock.pass_ms(8 * DAY_MS)
    shown: dict[int, str] = {}
    for gone in order:
        rank = next(rank for rank, player, _ in week_of(api) if player == gone)
        api.server.delete(f"/v1/players/{gone}")
        after = {rank: player for rank, player, _ in week_of(api)}
        shown[rank] = after[rank]
        # Each is shown as it was when it became nameless, in its place.
        assert all(after[rank] == player for rank, player in shown.items())
    members = order_of_week(raw)
    assert [member.partition(b"\x01")[0] for member in members] == [b"0"] * 5 + [b"e"]
    archive(drain)
    with lb.archive.read() as connection:
        entries = lb.archive.tables.entries
        rows = connection.execute(select(entries.c.player, entries.c.order_key).order_by(entries.c.order_key)).all()
    assert [row.order_key[14:] for row in rows] == members
    assert [row.player.encode() for row in rows] == members
    assert sorted(raw.hkeys(next(raw.scan_iter("lb:{0}:entries:main:2*")))) == sorted(members)


@pytest.mark.parametrize("hidden", ["", "b"], ids=["", "one of them hidden"])
@pytest.mark.parametrize("order", list(permutations(("a", "b", "c"))), ids="".join)
def test_nothing_is_named_so_in_standings_that_only_the_archive_has(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, order: tuple[str, ...], hidden: str
) -> None:
    api.define("main", periods=[{"kind": "weekly"}])
    for player in ("0", "a", "b", "c", "e"):
        api.submit(player, 10)
    archive(drain)
    raw.delete(*raw.scan_iter("lb:{0}:order:main:2*"), *raw.scan_iter("lb:{0}:entries:main:2*"))
    entries = lb.archive.tables.entries
    for gone in order:
        if gone == hidden:
            # As where its player was banned when they were settled, and others became nameless behind it before.
            with lb.archive.write() as connection:
                connection.execute(update(entries).where(entries.c.player == gone).values(hidden=1))
        api.server.delete(f"/v1/players/{gone}")
        archive(drain)
    with lb.archive.read() as connection:
        rows = connection.execute(select(entries.c.player, entries.c.order_key).order_by(entries.c.order_key)).all()
    assert [row.player.partition("\x01")[0] for row in rows] == ["0"] * (3 if hidden else 4) + ["e"]
    assert [row.order_key[14:].decode() for row in rows] == [row.player for row in rows]


def test_many_erased_of_one_instant_can_be_paged_through(api: Client, clock: SetClock) -> None:
    api.define("main", ties="ordinal", periods=[{"kind": "weekly"}])
    players = [f"p{i:02}" for i in range(45)]
    for player in players:
        api.submit(player, 5)
    clock.pass_ms(8 * DAY_MS)
    for player in players[:-1]:
        api.server.delete(f"/v1/players/{player}")
    seen, cursor = [], ""
    while True:
        page = api.get(f"/v1/boards/main/standings?period=weekly&period_id=previous&limit=2{cursor}")
        seen += [entry["rank"] for entry in page["entries"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == list(range(1, 46))


def test_what_a_deleted_board_has_left_of_a_player_is_erased(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain
) -> None:
    api.define("main", periods=[{"kind": "alltime"}], rules={"attempts": {"most": 5}})
    api.player(ALICE).post("/v1/boards/main/attempts", {}, expect=201)
    api.define("main", periods=[{"kind": "alltime"}], state="archived")
    api.admin.delete("/v1/admin/boards/main")
    assert list(raw.scan_iter(f"*attempts:main:{ALICE}"))
    api.server.delete(f"/v1/players/{ALICE}")
    archive(drain)
    left = {text for text in (*stored(raw), *archived(lb)) if ALICE.encode() in text}
    assert left == {f"lb:{{0}}:player:{ALICE}".encode(), ALICE.encode()}
