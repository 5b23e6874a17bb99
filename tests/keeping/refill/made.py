"""What is in an installation before its archive is lost, and how to see that all of it came back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, text

from leaderboard.cli import main
from leaderboard.errors import LeaderboardError
from leaderboard.installation import Installation
from leaderboard.rebuild import rebuild
from leaderboard.rebuild.verification import verify_standings
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import (
    assert_archive_is_store,
    assert_same,
    every_key,
    lasting,
)
from tests.keeping.place import Place
from tests.oracle import show_instant
from tests.reviewing import HOLDS, REVIEWS

HOUR_MS = 3_600_000

#: For what is the same whatever the database is.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class StopError(LeaderboardError):
    """Somebody pressed Ctrl-C."""


def make_everything(api: Client, clock: SetClock) -> None:
    """Something of everything that is kept."""
    late = {"late_s": 3600, "rules": {"rate": None}}
    season: dict[str, Any] = {"kind": "season", "keep_days": None, "settle_delay_s": 3600}
    weekly = {"kind": "weekly", "keep_days": 3650}
    tiebreaks = [{"name": "wins"}, {"name": "seconds", "order": "asc"}]
    api.define("main", tiebreaks=tiebreaks, periods=[season, weekly], **late, ties="competition")
    api.define("total", policy="sum", ties="dense", decimals=2, periods=[{"kind": "alltime"}, weekly], **late)
    api.define("last", policy="latest", order="asc", periods=[{"kind": "alltime"}, {"kind": "daily"}], **late)
    for board in ("gone", "again"):
        api.define(board, periods=[{"kind": "alltime"}])
        api.submit("p1", 1, board)
        api.define(board, state="archived", periods=[{"kind": "alltime"}])
        api.admin.delete(f"/v1/admin/boards/{board}")
    api.define("again", order="asc", tiebreaks=tiebreaks, periods=[season])
    for i in range(24):
        player, ago = f"p{i}", clock.at_ms - i * 1000
        api.submit(player, i % 5, tiebreaks={"wins": i % 3, "seconds": i % 2}, metadata={"car": f"№ {i}"}, key=f"a{i}")
        api.submit(player, i % 4 + 0.25, "total", key=f"b{i}", metadata={"n": i})
        # Late ones, which count and leave the metadata as it was.
        api.submit(player, 1, "total", achieved_at=show_instant(ago), metadata={"late": True})
        api.submit(player, i, "last", achieved_at=show_instant(ago))
        # The same once more: it was first achieved then, and the newest is this one.
        api.submit(player, i, "last")
        api.submit(player, i, "again", tiebreaks={"wins": 1})
    api.server.put("/v1/players/p1", {"display_name": "Åsa / 🚗", "country": "SE", "attributes": {"team": "red"}})
    api.server.put("/v1/players/p2", {"display_name": "Bo", "platform": "linux"})
    api.server.put("/v1/players/p1/friends", {"players": ["p2", "p3", "p4"]})
    for player in ("p1", "p2"):
        api.server.put(f"/v1/players/{player}/identities/steam", {"subject": player}, expect=201)
    api.player("p5").put("/v1/players/me/friends/p6")
    api.player("p7").put("/v1/players/me/blocks/p8", expect=204)
    api.player("p9").delete("/v1/sessions/current")
    for i in range(3):
        api.post("/v1/sessions", {"device_id": f"device-{i}".ljust(40, "x"), "display_name": "Cy"}, expect=201)
    key = api.admin.post("/v1/admin/keys", {"name": "ci", "role": "server"}, expect=201)
    api.admin.post("/v1/admin/keys", {"name": "old", "role": "read"}, expect=201)
    api.admin.delete(f"/v1/admin/keys/{key['id']}")
    api.server.delete("/v1/players/p10")
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    for i in range(12, 20):
        api.submit(f"p{i}", i, tiebreaks={"wins": i})
    api.define("plays", rules={"attempts": {"most": 20, "expires_s": 604_800}})
    for player, times in (("p5", 18), ("p11", 1)):
        attempts = [api.server.post("/v1/boards/plays/attempts", {"player": player}, expect=201) for _ in range(times)]
        api.submit(player, 3, "plays", attempt=attempts[-1]["attempt"])
    api.define("strict", ties="dense", rules=HOLDS)
    for score in (1, 2000, 3000):
        api.submit("p20", score, "strict", metadata={"n": score})
        api.submit("p21", score, "strict")
    lb = api.http.application.extensions["leaderboard"]
    for player, decision in (("p20", "approve"), ("p21", "reject")):
        review = lb.store.read(("HKEYS", lb.keys.held(player)))[0][0].decode()
        api.admin.post(f"{REVIEWS}/{review}/decision", {"decision": decision})
    clock.pass_ms(HOUR_MS // 2)
    api.server.post("/v1/boards/plays/attempts", {"player": "p6"}, expect=201)
    clock.pass_ms(3 * HOUR_MS // 2)
    bans = [("p18", "ban", None), ("p19", "shadow", show_instant(clock.at_ms + 9 * HOUR_MS))]
    for player, kind, ends_at in bans:
        api.admin.put(f"/v1/admin/players/{player}/ban", {"kind": kind, "reason": "a; №\n", "ends_at": ends_at})
    api.submit("p19", 40, tiebreaks={"wins": 2})
    # The first season is settled: two of equal score and time there become nameless.
    for player in ("p11", "p16", "p17"):
        api.server.delete(f"/v1/players/{player}")
    api.admin.delete("/v1/admin/boards/total/entries/p3?period=alltime&reason=cheated")
    body = {"score": 7, "reason": "replay checked"}
    api.admin.put("/v1/admin/boards/last/entries/p4?period=alltime", body)


def submit_many(api: Client, board: str, count: int) -> None:
    for first in range(0, count, 1000):
        numbers = range(first, min(count, first + 1000))
        items = [{"board": board, "player": f"q{i:05}", "score": i % 100, "metadata": {"n": i}} for i in numbers]
        assert api.server.post("/v1/submissions/batch", {"submissions": items})["failed"] == 0


def lose_archive(lb: Installation) -> None:
    """As if it had never been; connections of others find nothing any more."""
    tables = lb.archive.tables
    with lb.archive.write() as connection:
        tables.metadata.drop_all(connection)
        connection.execute(text(f"DROP TABLE {tables.schema}"))
    assert not lb.archive.exists()


def archived_entries(lb: Installation, board: str) -> set[str]:
    entries = lb.archive.tables.entries
    with lb.archive.read() as connection:
        return set(connection.scalars(select(entries.c.player).where(entries.c.board == board)))


def assert_it_is_all_there(place: Place, lb: Installation, *, replays: bool = False) -> None:
    """The archive is the store, and a store that is made from it is the same again."""
    place.drain()
    assert_archive_is_store(lb.archive, place.raw)
    assert not [one for one in verify_standings(lb) if one.difference]
    before = every_key(place.raw)
    place.raw.flushall()
    rebuild(lb)
    now = lb.clock.now_ms()
    were, are = lasting(before, now), lasting(every_key(place.raw), now)
    if not replays:
        were, are = ({key: one for key, one in keys.items() if ":replay:" not in key} for keys in (were, are))
    assert_same("keys", were, are)


def at(**acts: Callable[[], object]) -> Callable[[str, int, int], None]:
    """Do something once, after the first share of a stage."""

    def progress(stage: str, _done: int, _total: int) -> None:
        if act := acts.pop(stage.replace(" ", "_"), None):
            act()

    return progress


def run(place: Place, *arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["rebuild", *arguments], env=place.variables(**variables))
