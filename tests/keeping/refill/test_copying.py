"""An archive copied to another database, with its history."""

from __future__ import annotations

import pytest

from leaderboard.archive import readers
from leaderboard.errors import LeaderboardError
from leaderboard.installation import Installation
from leaderboard.rebuild import RebuildError
from leaderboard.rebuild.archive import fill_archive
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import (
    assert_archive_is_store,
    every_row,
    every_table,
)
from tests.keeping.place import Place
from tests.keeping.refill.made import (
    StopError,
    assert_it_is_all_there,
    at,
    make_everything,
    on_sqlite,
)


def test_an_archive_is_copied_with_its_history_to_another_database(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    make_everything(api, clock)
    api.submit("p1", 4, "total", key="once", metadata={"by": "wheel"})
    place.drain()
    # The last ones still wait.
    api.submit("p5", 4, "total", key="waits")
    old = every_table(lb.archive)
    new = place.installation(clock, database_url=elsewhere)

    def go_on() -> None:
        # The one is not written to any more, the other not yet.
        assert Drain(lb).step() is None
        assert Drain(new).step() is None
        api.submit("p6", 8, "total", key="meanwhile")
        api.server.delete("/v1/players/p8")

    filled = fill_archive(new, source=lb.archive, progress=at(entries=go_on))
    table = new.archive.tables.submissions
    rows = every_row(new.archive, table)
    assert [tuple(row) for row in rows if row.at_ms < clock.at_ms or row.player not in ("p5", "p6")] == [
        row for row in old[table.name] if row[3] != "p8"
    ][: len(rows) - 2]
    assert [row.id for row in rows] == sorted({row.id for row in rows})
    assert [row.player for row in rows[-2:]] == ["p5", "p6"]
    assert filled.submissions == len(rows)
    assert [row.player for row in every_row(new.archive, table) if row.player == "p8"] == []
    # Whoever still has the old address is told.
    with pytest.raises(LeaderboardError, match="older than the store"):
        Drain(lb).step()
    place.database_url = elsewhere
    assert_it_is_all_there(place, new, replays=True)
    for key, player in (("once", "p1"), ("waits", "p5"), ("meanwhile", "p6")):
        body = {"player": player, "score": 8 if key == "meanwhile" else 4}
        body |= {"metadata": {"by": "wheel"}} if key == "once" else {}
        headers = {"Idempotency-Key": key}
        answer = place.api(clock).server.call("POST", "/v1/boards/total/submissions", body, headers)
        assert answer.headers["Idempotent-Replayed"] == "true", answer.text


def test_a_copy_that_was_cut_off_is_no_archive_and_starts_over(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    make_everything(api, clock)
    place.drain()
    new = place.installation(clock, database_url=elsewhere)

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        fill_archive(new, source=lb.archive, progress=at(entries=stop))
    assert readers.read_position(new.archive) is None
    with pytest.raises(LeaderboardError):
        Drain(new).step()
    # The old one goes on until it is done.
    api.submit("p1", 5)
    place.drain()
    assert fill_archive(new, source=lb.archive).submissions
    assert_archive_is_store(new.archive, place.raw)
    assert every_table(new.archive) == every_table(lb.archive)


@on_sqlite
def test_a_copy_that_was_cut_off_may_be_filled_from_the_store_instead(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    make_everything(api, clock)
    place.drain()
    new = place.installation(clock, database_url=elsewhere)

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        fill_archive(new, source=lb.archive, progress=at(submissions=stop))
    assert fill_archive(new).submissions == 0
    place.database_url = elsewhere
    assert_it_is_all_there(place, new)


def test_only_an_archive_of_this_very_store_is_copied(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("p1", 1)
    new = place.installation(clock, database_url=elsewhere)
    with pytest.raises(RebuildError, match="there is no archive to copy from"):
        fill_archive(new, source=lb.archive)
    place.drain()
    with pytest.raises(RebuildError, match="this very one"):
        fill_archive(lb, source=place.installation().archive, replacing=True)
    assert_archive_is_store(lb.archive, place.raw)
    # It was moved, and has gone on: the old one is not the store's any more.
    fill_archive(new, source=lb.archive)
    api.submit("p1", 2)
    Drain(new).step()
    third = place.installation(clock, database_url=f"sqlite:///{place.folder}/third.sqlite")
    with pytest.raises(RebuildError, match="of this store at an earlier time"):
        fill_archive(third, source=lb.archive)
    assert readers.read_position(third.archive, partial=True) is None


@on_sqlite
def test_an_archive_that_a_worker_writes_to_is_not_copied(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.define("main")
    assert Drain(lb).step() > 0
    monkeypatch.setattr("leaderboard.rebuild.copying.LEASE_WAIT_S", 0.0)
    new = place.installation(clock, database_url=elsewhere)
    with pytest.raises(RebuildError, match="a worker is writing to the archive that is to be copied"):
        fill_archive(new, source=lb.archive)
